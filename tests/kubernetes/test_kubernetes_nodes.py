"""Which nodes a cluster has, by the settings alone."""

from __future__ import annotations

from typing import Any

from infra.context import Context
from infra.kubernetes import nodes
from skylift.stack.settings import check

MACHINES = ["m5.xlarge", "c5.2xlarge", "m6i.xlarge"]
"""The first and the last are alike."""
IMAGE = "r.example.com/serving@sha256:" + "0" * 64


def context(**more: Any) -> Context:
    least = {"target": "eks", "region": "us-east-1", "account": "123456789012"}
    return Context(settings=check({**least, **more}, "test"), stack="dev")


def test_a_mixed_group_holds_machines_alike_and_no_others() -> None:
    """The autoscaler takes all nodes of a group for alike: a pod may not fit on a smaller one."""
    pools = {"a": {"machines": MACHINES, "spot": True}}
    found = [(one.name, one.machines, one.spot) for one in nodes.dedicated(context(pools=pools), mixed=True)]
    assert found == [
        ("pool-a-spot-0", ["m5.xlarge", "m6i.xlarge"], True),
        ("pool-a-spot-1", ["c5.2xlarge"], True),
        ("pool-a-demand-0", ["m5.xlarge", "m6i.xlarge"], False),
        ("pool-a-demand-1", ["c5.2xlarge"], False),
    ]


def test_else_each_variant_of_a_pool_has_its_own_in_the_order_to_try() -> None:
    pools = {"a": {"machines": MACHINES[:2], "spot": True}}
    found = [(one.name, one.machines, one.spot) for one in nodes.dedicated(context(pools=pools))]
    assert found == [
        ("pool-a-0", ["m5.xlarge"], True),
        ("pool-a-1", ["c5.2xlarge"], True),
        ("pool-a-2", ["m5.xlarge"], False),
        ("pool-a-3", ["c5.2xlarge"], False),
    ]


def test_nodes_of_pools_and_endpoints_begin_at_none_and_take_only_what_is_meant_for_them() -> None:
    more: dict[str, Any] = {"pools": {"gpu": {"accelerator": "T4"}}, "endpoints": {"fast": {"max_replicas": 5}}}
    pool, endpoint = nodes.dedicated(context(images={"serving": IMAGE}, **more))
    assert pool.least == endpoint.least == 0
    assert pool.taint == ("nvidia.com/gpu", "present") and pool.gpus == 1
    assert endpoint.taint == ("skylift.dev/pool", "serve-fast") and endpoint.labels == dict([endpoint.taint])
    assert endpoint.most == 6, "a new replica is there before the old one goes"
    assert [one.kind for one in nodes.dedicated(context(**more))] == ["pool"], "there is no image to serve with"


def test_the_system_has_nodes_at_once_in_stage_prod_two() -> None:
    dev, prod = nodes.system(context()), nodes.system(context(stage="prod"))
    assert (dev.least, prod.least) == (1, 2) and dev.taint is None and dev.gpus == 0
    small = nodes.system(context(stage="prod", cluster={"system_machine": "m6i.large", "system_max": 1}))
    assert (small.least, small.most, small.machines) == (1, 1, ["m6i.large"])
