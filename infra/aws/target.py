"""The targets ec2, eks and sagemaker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.aws import audit, foreseen
from infra.aws.audit import Audit, AuditArgs
from infra.aws.checks import Found, check
from infra.aws.firewall import Firewall, FirewallArgs
from infra.aws.grants_targets import SAGEMAKER_JOBS
from infra.aws.identity import Identity, IdentityArgs
from infra.aws.key import Key, KeyArgs
from infra.aws.monitoring import Monitoring, MonitoringArgs
from infra.aws.names import Names
from infra.aws.network import Network, NetworkArgs
from infra.aws.network_plan import choose_zones
from infra.aws.platform import Platform
from infra.aws.registry import Registry, RegistryArgs
from infra.aws.secrets import Secrets, SecretsArgs
from infra.aws.storage import Storage, StorageArgs
from infra.context import Context
from infra.promise import Made, promise
from skylift.stack import outputs as contract
from skylift.stack.settings import Settings


def provision(settings: Settings, stack: str, root: Path) -> pulumi.Output[contract.Outputs]:
    """Declare everything that a stack on AWS has.

    Raises:
        SettingsError: the account cannot do what the settings say; before anything is declared.
        CredentialsError: nobody is signed in.
    """
    context = Context(settings=settings, stack=stack)
    foreseen.check(context)
    provider = aws.Provider(
        "aws",
        region=context.region,
        allowed_account_ids=[context.account],
        default_tags=aws.ProviderDefaultTagsArgs(tags=dict(context.tags)),
    )
    found = check(context, provider)
    zones = () if settings.network.id else choose_zones(context, found.offered)
    opts = pulumi.ResourceOptions(providers=[provider])
    platform = _platform(context, found, zones, opts)
    made = _compute(platform, opts)
    return promise(
        context,
        made,
        keep=platform.storage.keep,
        work=platform.storage.work,
        registry=platform.registry.url,
        identities=platform.identity.arns,
        secrets=platform.secrets.names,
        place=_place(platform),
    )


def _platform(context: Context, found: Found, zones: Sequence[str], opts: pulumi.ResourceOptions) -> Platform:
    key = Key("key", KeyArgs(context=context), opts)
    written = Audit("audit", AuditArgs(context=context, key=key.own), opts) if audit.is_needed(context) else None
    network = Network(
        "network",
        NetworkArgs(
            context=context,
            zones=zones,
            offered=found.offered,
            cidr=found.cidr,
            subnets=found.subnets,
            flow_logs=written.bucket_arn if written and audit.keeps_flows(context) else None,
        ),
        opts,
    )
    return Platform(
        context=context,
        key=key,
        storage=Storage("storage", StorageArgs(context=context, key=key.arn), opts),
        registry=Registry("registry", RegistryArgs(context=context, key=key.arn), opts),
        identity=Identity("identity", IdentityArgs(context=context), opts),
        network=network,
        firewall=Firewall("firewall", FirewallArgs(context=context, network=network), opts),
        secrets=Secrets("secrets", SecretsArgs(context=context, key=key.arn), opts),
        monitoring=Monitoring("monitoring", MonitoringArgs(context=context, key=key.own), opts),
    )


def _compute(platform: Platform, opts: pulumi.ResourceOptions) -> Made:
    """Exactly one shape, and only its modules of the SDK are loaded."""
    kind = platform.context.settings.kind
    if kind == "vm":
        from infra.aws.reaper import Reaper, ReaperArgs
        from infra.aws.vm import Machines, MachinesArgs

        Reaper("reaper", ReaperArgs(platform=platform), opts)
        return Machines("machines", MachinesArgs(platform=platform), opts).made
    if kind == "cluster":
        from infra.aws.cluster import Cluster, ClusterArgs

        made: Made = Cluster("cluster", ClusterArgs(platform=platform), opts).made
        return made
    from infra.aws.managed import Managed, ManagedArgs

    return Managed("managed", ManagedArgs(platform=platform), opts).made


def _place(platform: Platform) -> dict[str, pulumi.Input[str]]:
    names, network, kind = Names(platform.context), platform.network, platform.context.settings.kind
    place: dict[str, pulumi.Input[str]] = {
        "subnets": pulumi.Output.all(*network.subnet_ids).apply(lambda ids: ",".join(str(one) for one in ids)),
        "zones": ",".join(network.zones),
        "log_group": {"vm": names.log_group, "cluster": names.pod_logs}.get(kind, SAGEMAKER_JOBS),
    }
    for name, pool in platform.context.pools.items():
        if not pool.settings.zones and kind != "managed":
            place[f"zones.{name}"] = ",".join(network.zones_with(pool.shapes[0].machine))
    if kind != "cluster":
        place["security_groups"] = platform.firewall.training.id
        place["name_prefix"] = names.run_groups if kind == "vm" else names.training_jobs
    images = platform.context.settings.images
    if images.training is not None:
        place["training_image"] = images.training
    if platform.key.arn is not None:
        place["key"] = platform.key.arn
    return place
