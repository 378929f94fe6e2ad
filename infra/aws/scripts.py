"""What machines are told to do at their first boot. Pure."""

from __future__ import annotations

from infra import boot
from infra.aws.names import Names
from infra.context import EndpointPlan, PoolPlan
from skylift import catalog

PORT = 8080
"""On which a serving machine listens."""


def training_script(names: Names, pool: PoolPlan, image: str, shape: catalog.Shape) -> str:
    """What a machine of a run group does at its first boot."""
    spec = boot.BootSpec(
        mode="train",
        stack=names.context.tags["skylift-stack"],
        region=names.context.region,
        account=names.context.account,
        image=image,
        registry=names.registry_host,
        keep=names.keep.url,
        work=names.work.url,
        gpu=shape.count > 0,
        max_hours=pool.settings.max_hours,
        logs=names.log_group,
        # The agent takes this role for the run and hands out what it gets, narrowed to the run.
        env={"SKYLIFT_POOL": pool.name, "SKYLIFT_TRAINING_ROLE": names.role_arn("training")},
    )
    return boot.render("aws", spec)


def serving_script(names: Names, endpoint: EndpointPlan, image: str) -> str:
    """What a machine of an endpoint does at its first boot."""
    told = endpoint.settings
    flags = {
        "--workers": told.workers,
        "--threads": told.threads,
        "--backend": told.backend,
        "--queue-rows": told.queue_rows,
        "--max-batch-rows": told.max_batch_rows,
        "--drain-seconds": f"{told.drain_seconds:g}",
    }
    spec = boot.BootSpec(
        mode="serve",
        stack=names.context.tags["skylift-stack"],
        region=names.context.region,
        account=names.context.account,
        image=image,
        registry=names.registry_host,
        keep=names.keep.url,
        work=names.work.url,
        gpu=endpoint.shape.count > 0,
        port=PORT,
        env={"SKYLIFT_API_KEYS": names.api_keys_arn(endpoint.name)} if told.api_keys else {},
        endpoint=endpoint.name,
        flags=(
            *(part for flag, value in flags.items() for part in (flag, str(value))),
            *(("--approval",) if told.approval else ()),
        ),
        logs=names.log_group,
    )
    return boot.render("aws", spec)
