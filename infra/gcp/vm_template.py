"""Instance templates: what a machine of a pool or of an endpoint is made from. A template costs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_gcp as gcp

from infra.context import Context
from skylift.catalog import Shape

IMAGE_PROJECT = "deeplearning-platform-release"
IMAGE_FAMILY = "common-cu128-ubuntu-2204-nvidia-570"
"""Driver, docker and NVIDIA's container toolkit. Machines without a GPU take it for its docker: with private egress they could not
install any. Seen in public scripts of 2025, not checked against a cloud. V100 needs a driver that this family may no longer hold."""

_HYPERDISK = ("a3-ultragpu-", "a4-", "c4-", "n4-")
"""Machine types that take no persistent disk: https://cloud.google.com/compute/docs/disks/hyperdisks"""


@dataclass(frozen=True, kw_only=True)
class TemplateArgs:
    """
    Args:
        image: boot disk's image, resolved.
        container: the container's image; its digest is a part of the template's name.
        script: run at every boot; the boot script knows what it has done.
        account: e-mail of the machine's service account.
        hours: longest life of a machine [h]; None for as long as its group wants it.
        key: encryption key of the disk; None for Google's own.
        labels: beside the stack's.
    """

    context: Context
    shape: Shape
    image: pulumi.Input[str]
    container: str
    script: str
    account: pulumi.Input[str]
    subnet: pulumi.Input[str]
    disk_gib: int
    spot: bool = False
    hours: float | None = None
    key: pulumi.Input[str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def resolved_image(parent: pulumi.Resource) -> pulumi.Output[str]:
    """The newest image of the family, by its own link and not the family's."""
    return gcp.compute.get_image_output(
        family=IMAGE_FAMILY, project=IMAGE_PROJECT, opts=pulumi.InvokeOutputOptions(parent=parent)
    ).self_link


def template(name: str, args: TemplateArgs, opts: pulumi.ResourceOptions) -> gcp.compute.RegionInstanceTemplate:
    """A hardened machine: own service account, no address on the internet, no keys of the project, vTPM and integrity monitoring.

    Secure boot only without a GPU: the image's driver is not signed for it. Google publishes a new image every few weeks; a machine
    takes the one that was newest when its template was made, and the template changes with the container's digest, never by itself.
    """
    mark = hashlib.sha256(f"{IMAGE_FAMILY}/{args.container}".encode()).hexdigest()[:6]
    pinned = pulumi.ResourceOptions(ignore_changes=["disks[0].sourceImage"])
    return gcp.compute.RegionInstanceTemplate(
        f"{name}-{mark}",
        region=args.context.region,
        machine_type=args.shape.machine,
        description=f"Skylift {args.context.stack}",
        disks=[_disk(args)],
        network_interfaces=[gcp.compute.RegionInstanceTemplateNetworkInterfaceArgs(subnetwork=args.subnet)],
        guest_accelerators=_accelerators(args.shape),
        scheduling=_scheduling(args),
        service_account=gcp.compute.RegionInstanceTemplateServiceAccountArgs(
            email=args.account, scopes=["https://www.googleapis.com/auth/cloud-platform"]
        ),
        shielded_instance_config=gcp.compute.RegionInstanceTemplateShieldedInstanceConfigArgs(
            enable_secure_boot=args.shape.count == 0, enable_vtpm=True, enable_integrity_monitoring=True
        ),
        metadata={
            "enable-oslogin": "TRUE",
            "block-project-ssh-keys": "TRUE",
            "serial-port-enable": "FALSE",
            "startup-script": args.script,
        },
        labels=_labels(args),
        opts=pulumi.ResourceOptions.merge(opts, pinned),
    )


def _labels(args: TemplateArgs) -> dict[str, str]:
    return {**args.context.tags, **args.labels}


def _disk(args: TemplateArgs) -> gcp.compute.RegionInstanceTemplateDiskArgs:
    return gcp.compute.RegionInstanceTemplateDiskArgs(
        boot=True,
        auto_delete=True,
        source_image=args.image,
        disk_size_gb=args.disk_gib,
        disk_type="hyperdisk-balanced" if args.shape.machine.startswith(_HYPERDISK) else "pd-balanced",
        disk_encryption_key=None
        if args.key is None
        else gcp.compute.RegionInstanceTemplateDiskDiskEncryptionKeyArgs(kms_key_self_link=args.key),
        labels=_labels(args),
    )


def _accelerators(shape: Shape) -> list[gcp.compute.RegionInstanceTemplateGuestAcceleratorArgs] | None:
    """N1 only; every other machine type brings its own."""
    if not shape.declared:
        return None
    return [gcp.compute.RegionInstanceTemplateGuestAcceleratorArgs(type=shape.gce_accelerator, count=shape.count)]


def _scheduling(args: TemplateArgs) -> gcp.compute.RegionInstanceTemplateSchedulingArgs:
    """A machine that ends is deleted: stopped ones still pay for their disk."""
    ends = args.spot or args.hours is not None
    return gcp.compute.RegionInstanceTemplateSchedulingArgs(
        on_host_maintenance="TERMINATE" if args.shape.count or args.spot else "MIGRATE",
        automatic_restart=not ends,
        provisioning_model="SPOT" if args.spot else "STANDARD",
        preemptible=args.spot,
        instance_termination_action="DELETE" if ends else None,
        max_run_duration=None
        if args.hours is None
        else gcp.compute.RegionInstanceTemplateSchedulingMaxRunDurationArgs(seconds=round(args.hours * 3600)),
    )
