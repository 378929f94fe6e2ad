"""Writes the tables of docs/targets.md from what the components declare: `python -m tests.targets_page`.

Each target's example is provisioned with strict mocks, in both stages and with images set so that nothing is left out. Needs the clouds'
SDKs; tests/clouds/test_targets_page.py holds that the page is what this writes.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from infra.context import Context
from skylift import assets, catalog
from skylift.stack import settings
from tests.clouds.mocks import Recorded, Resource, provision
from tests.clouds.world import World

PAGE = Path(__file__).parents[1] / "docs" / "targets.md"
TITLES = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
STAGES = ("dev", "prod")
HOURS = 730

ROWS = {
    "Storage": "buckets",
    "Registry": "registry",
    "Identity": "identities",
    "Access": "grants",
    "Network": "network",
    "Firewall": "network",
    "Links": "network",
    "Key": "key",
    "Vault": "key",
    "Secrets": "secrets",
    "Machines": "machines",
    "Vm": "machines",
    "Cluster": "cluster",
    "Managed": "managed service",
    "Reaper": "reaper",
    "Monitoring": "monitoring",
    "Logs": "monitoring",
    "Alarms": "monitoring",
    "Workspace": "managed service",
    "Audit": "audit",
}
"""Row of the table by the class of the outermost component; another class has a row of its own name."""

WHY_EMPTY = {
    ("machines", "cluster"): "run groups and replicas are pods on the cluster's pools",
    ("machines", "managed"): "the service has machines of its own",
    ("cluster", "vm"): "none: replicas are machines",
    ("cluster", "managed"): "none: the service has its own",
    ("managed service", "vm"): "none: machines serve",
    ("managed service", "cluster"): "none: pods serve",
    ("reaper", "cluster"): "a Job ends by its own deadline, and the autoscaler removes nodes",
    ("reaper", "managed"): "a job ends by the time limit that it was started with",
    ("network", "managed"): "the service's own network; nothing of the stack's is in one",
    ("key", "*"): "the provider's own key encrypts; `encryption_key: stack`, the default in prod, makes one",
    ("secrets", "*"): "made for the names in `secrets` and for endpoints with `api_keys`",
    ("audit", "*"): "written in stage prod",
    ("grants", "*"): "identities carry their own policies",
}
"""Why a cell is empty, by row and kind of target; * for all kinds."""

PRICES = {
    "aws": {
        "ec2:NatGateway": "nat",
        "ec2:Eip": "public-ip",
        "lb:LoadBalancer": "load-balancer",
        "eks:Cluster": "control-plane",
        "kms:Key": "key",
        "secretsmanager:Secret": "secret",
        "cloudwatch:MetricAlarm": "alarm",
    },
    "gcp": {
        "compute:RouterNat": "nat",
        "compute:ForwardingRule": "load-balancer",
        "container:Cluster": "control-plane",
        "kms:CryptoKey": "key",
        "secretmanager:Secret": "secret",
        "monitoring:AlertPolicy": "alarm",
        "cloudscheduler:Job": "reaper",
    },
    "azure": {
        "network:NatGateway": "nat",
        "network:PublicIPAddress": "public-ip",
        "network:PrivateEndpoint": "interface-endpoint",
        "network:LoadBalancer": "load-balancer",
        "network:BastionHost": "bastion",
        "monitor:MetricAlert": "alarm",
        "monitor:ScheduledQueryRule": "log-alarm",
    },
}
"""What rests at a price, by module and class of the resource; counted one by one where more than its being there matters."""


def config(target: str, stage: str) -> dict[str, Any]:
    """The example of a target with everything that is made only where it is asked for: images, secrets, alarms by mail, a budget."""
    text = assets.path(f"stacks/Pulumi.example-{target}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = {key[8:]: value for key, value in yaml.safe_load(text)["config"].items()}
    registry = re.search(r"(?m)^  # skylift:registry: (.+)$", text)
    assert registry is not None
    path = registry.group(1).replace(
        "amazonaws.com/ours", "amazonaws.com/skylift-lab"
    )  # AWS takes images of the stack's own
    images = {kind: f"{path}/{kind}@sha256:{'0' * 64}" for kind in ("training", "serving")}
    found |= {"stage": stage, "images": images, "secrets": ["token"], "alerts": {"emails": ["team@example.com"]}}
    found["budget"] = {"monthly": 200.0} | (
        {"billing_account": "012345-6789AB-CDEF01"} if "billing_account" in text else {}
    )
    if settings.KINDS[target] != "managed":
        found["endpoints"]["default"]["api_keys"] = True
    return found


@cache
def declared(target: str, stage: str) -> Recorded:
    """What a stack of the target declares."""
    checked = settings.check(config(target, stage), target)
    room = importlib.import_module(f"infra.{checked.cloud}.target")
    account, region = checked.account or "", checked.region or ""
    places = {
        "aws": {"account": account, "region": region},
        "gcp": {"project": account, "google_region": region},
        "azure": {"subscription": account, "location": region},
    }
    return provision(lambda: room.provision(checked, "lab", Path()), world=World(**places[checked.cloud]), stack="lab")


def kind_of(resource: Resource) -> str:
    """`s3:Bucket` of `aws:s3/bucket:Bucket`."""
    package, module, name = resource.type.split(":")
    return f"{module.partition('/')[0]}:{name}" if package != "kubernetes" else f"kubernetes:{name}"


def row_of(resource: Resource, recorded: Recorded) -> str:
    """The row of a resource: that of the outermost component around it."""
    by_urn = {one.urn: one for one in recorded.resources}
    outermost = resource
    while outermost.parent_urn in by_urn:
        outermost = by_urn[outermost.parent_urn]
    name = outermost.type.rpartition(":")[2]
    return ROWS.get(name, "the account" if outermost is resource else name.lower())


def own(recorded: Recorded) -> Iterator[Resource]:
    for one in recorded.resources:
        if one.is_custom and not one.is_read and not one.type.startswith("pulumi:"):
            yield one


def cells(target: str) -> dict[str, Counter[str]]:
    """By row, how many of each kind both stages together have at the most."""
    found: dict[str, Counter[str]] = {}
    for stage in STAGES:
        recorded = declared(target, stage)
        counted: dict[str, Counter[str]] = {}
        for one in own(recorded):
            counted.setdefault(row_of(one, recorded), Counter())[kind_of(one)] += 1
        for row, kinds in counted.items():
            found[row] = found.get(row, Counter()) | kinds
    return found


def resources(cloud: str) -> str:
    """The resource-by-target table of a cloud."""
    targets = [target for target in settings.TARGETS if settings.CLOUDS[target] == cloud]
    by_target = {target: cells(target) for target in targets}
    rows = [row for row in dict.fromkeys(ROWS.values()) if any(row in found for found in by_target.values())]
    rows += sorted({row for found in by_target.values() for row in found} - set(rows))
    lines = [f"| | {' | '.join(targets)} |", "|---" * (len(targets) + 1) + "|"]
    for row in rows:
        shown = [_cell(row, target, by_target[target].get(row)) for target in targets]
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _cell(row: str, target: str, kinds: Counter[str] | None) -> str:
    if not kinds:
        kind = settings.KINDS[target]
        reason = WHY_EMPTY.get((row, kind)) or WHY_EMPTY.get((row, "*"))
        assert reason, f"docs/targets.md: the cell {row} of {target} is empty and nothing says why"
        return f"*{reason}*"
    return "<br>".join(name + (f" ×{count}" if count > 1 else "") for name, count in sorted(kinds.items()))


def rests() -> str:
    """What a stack costs in a month while nobody uses it."""
    lines = [
        "| target | stage | rests [USD/month] | of which | machines that always run [USD/month] |",
        "|---|---|---|---|---|",
    ]
    for target in settings.TARGETS[1:]:
        for stage in STAGES:
            parts = list(_resting(target, stage))
            total = sum(price for _, price in parts)
            said = ", ".join(f"{name} {price:.2f}" for name, price in parts if price)
            lines.append(f"| {target} | {stage} | {total:.0f} | {said} | {_machines(target, stage)} |")
    return "\n".join(lines)


def _resting(target: str, stage: str) -> Iterator[tuple[str, float]]:
    cloud, recorded = settings.CLOUDS[target], declared(target, stage)
    counted: Counter[str] = Counter()
    for one in own(recorded):
        kind = kind_of(one)
        if kind in PRICES[cloud]:
            counted[PRICES[cloud][kind]] += 1
        elif kind == "ec2:VpcEndpoint" and one.inputs.get("vpcEndpointType") == "Interface":
            counted["interface-endpoint"] += len(one.inputs.get("subnetIds") or [1])
        elif kind == "kubernetes:Service" and (one.inputs.get("spec") or {}).get("type") == "LoadBalancer":
            counted["load-balancer"] += 1
        elif kind == "containerservice:ManagedCluster" and (one.inputs.get("sku") or {}).get("tier") == "Standard":
            counted["control-plane"] += 1
        elif kind == "containerregistry:Registry":
            premium = one.inputs["sku"]["name"] == "Premium"
            counted["registry-premium" if premium else "registry"] += 1
    for key, count in sorted(counted.items()):
        (price,) = catalog.resting(cloud, key)
        yield f"{count} × {price.item}" if count > 1 else price.item, count * price.usd_per_month


def _machines(target: str, stage: str) -> str:
    """Replicas of the endpoints, at the list price of the VM."""
    context = Context(settings=settings.check(config(target, stage), target), stack="lab")
    said = []
    for plan in context.endpoints.values():
        known = catalog.price(plan.shape.cloud, plan.shape.machine)
        cost = f"{known.usd_per_hour * HOURS * plan.min_replicas:.0f}" if known else "price not known"
        said.append(f"{plan.min_replicas} × {plan.shape.machine}: {cost}")
    if settings.KINDS[target] == "cluster":
        said.append("and the system pool")
    return ", ".join(said)


def tables() -> Iterator[tuple[str, Callable[[], str]]]:
    """Each table's name and how it is written."""
    for cloud in TITLES:
        yield f"resources-{cloud}", partial(resources, cloud)
    yield "rests", rests


def put(page: str, name: str, table: str) -> str:
    """The page with one table anew."""
    begin, end = f"<!-- {name}: python -m tests.targets_page -->\n", f"\n<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    assert found, f"docs/targets.md has no place for {name}"
    return before + begin + table + end + rest.partition(end)[2]


def page(current: str) -> str:
    """The page with all tables anew."""
    for name, write in tables():
        current = put(current, name, write())
    return current


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
