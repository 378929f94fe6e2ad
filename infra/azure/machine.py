"""What the machines of training and of serving have in common: image, script, names."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra import boot
from infra.azure.names import Names, vault_and_name
from infra.azure.rules import TLS_PORT
from infra.boot import BootSpec
from infra.context import Context, EndpointPlan, PoolPlan
from skylift.catalog import Shape

PLAIN_PORT = 8080
USER = "skylift"

# Ubuntu 22.04 with NVIDIA's driver, docker and the container toolkit, for machines with and without GPUs alike: nothing is installed at
# boot. Pinned: `az vm image list --publisher microsoft-dsvm --offer ubuntu-hpc --sku 2204 --all` lists the versions, and
# https://github.com/Azure/azhpc-images/releases what is in them. Azure withdraws old versions; a release of skylift renews this one.
# Untried on hardware.
IMAGE = {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2204", "version": "22.04.2024102301"}
DISK_GIB = 150
"""Of a serving machine; training pools say their own."""


@dataclass(frozen=True, kw_only=True)
class Who:
    """Client ids of what a training machine may be: itself, and the run on it."""

    host: str
    training: str


def training_script(context: Context, plan: PoolPlan, shape: Shape, who: Who, rule: str) -> str:
    """What a training machine runs at its first boot, as Azure takes it (base64).

    Args:
        rule: resource id of what says which of its logs are collected.

    Raises:
        InputError: the settings give a script that cannot be.
    """
    spec = replace(
        _common(context, context.settings.images.training or "", who.host),
        log_rule=rule,
        gpu=shape.count > 0,
        max_hours=plan.settings.max_hours,
        env={"SKYLIFT_TRAINING_CLIENT_ID": who.training, "SKYLIFT_POOL": plan.name},
    )
    return encoded(boot.render("azure", spec))


def serving_script(context: Context, plan: EndpointPlan, client_id: str) -> str:
    """What a serving machine runs at its first boot, as Azure takes it (base64)."""
    certificate = plan.settings.certificate
    spec = replace(
        _common(context, context.settings.images.serving or "", client_id),
        mode="serve",
        max_hours=None,
        gpu=plan.shape.count > 0,
        endpoint=plan.name,
        port=port(plan),
        flags=flags(plan),
        env=_environment(context, plan),
        tls_secret="/".join(vault_and_name(certificate)) if certificate else "",
    )
    return encoded(boot.render("azure", spec))


def port(plan: EndpointPlan) -> int:
    """That the server listens on: TLS is ended by the server itself, with the certificate that the machine fetches from Key Vault.
    An Application Gateway would do it for about 180 USD a month more."""
    return TLS_PORT if plan.settings.certificate else PLAIN_PORT


def flags(plan: EndpointPlan) -> tuple[str, ...]:
    """Options of the serving program that the settings decide."""
    settings = plan.settings
    told: Mapping[str, object] = {
        "--workers": settings.workers,
        "--backend": settings.backend,
        "--threads": settings.threads,
        "--queue-rows": settings.queue_rows,
        "--max-batch-rows": settings.max_batch_rows,
        "--drain-seconds": settings.drain_seconds,
    }
    return tuple(str(word) for pair in told.items() for word in pair)


def encoded(script: str) -> str:
    return base64.b64encode(script.encode()).decode()


def is_fast(shape: Shape) -> bool:
    """Whether accelerated networking is offered: not on the smallest machines and the burstable ones.
    https://learn.microsoft.com/azure/virtual-network/accelerated-networking-overview"""
    return shape.cpus >= 4 and not shape.machine.startswith("Standard_B")


def _environment(context: Context, plan: EndpointPlan) -> dict[str, str]:
    told = {"SKYLIFT_APPROVAL": "1"} if plan.settings.approval else {}
    if plan.settings.api_keys:
        told["SKYLIFT_API_KEYS"] = Names(context).secret_url(f"api-keys-{plan.name}")
    return told


def _common(context: Context, image: str, client_id: str) -> BootSpec:
    """What both kinds of machine are told, as that of training."""
    names = Names(context)
    return BootSpec(
        mode="train",
        max_hours=1,
        gpu=False,
        stack=context.tags["skylift-stack"],
        region=context.region,
        account=context.account,
        image=image,
        registry=image.partition("/")[0],
        keep=names.bucket("keep"),
        work=names.bucket("work"),
        identity_client_id=client_id,
    )
