"""The stack's own encryption key."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import names

ROTATION = "7776000s"  # 90 days, the most that CIS GCP 1.10 lets pass
_USE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


@dataclass(frozen=True, kw_only=True)
class KeyArgs:
    """
    Args:
        number: the project's number, of which Google makes the names of its service agents.
    """

    context: Context
    number: str


class Key(Component):
    """A key for buckets, registry, secrets, disks and endpoints, rotated every 90 days. Only Google's agents of these services use it.

    It is protected and retained with the data that it encrypts. A key ring can never be deleted: when a disposable stack goes, the
    key's versions are destroyed after a day, the empty ring stays at no price, and the next one has another name.
    Costs 0.06 USD a month for each version and 0.03 USD for 10,000 uses.

    Attributes:
        id: the key's resource name, known once the agents may use it.
    """

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        ring = gcp.kms.KeyRing(f"{name}-ring", location=args.context.region, opts=self.lasting())
        key = gcp.kms.CryptoKey(
            f"{name}-key",
            key_ring=ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=ROTATION,
            destroy_scheduled_duration="86400s",
            opts=self.lasting(),
        )
        used = [
            gcp.kms.CryptoKeyIAMMember(
                f"{name}-{service}", crypto_key_id=key.id, role=_USE, member=member, opts=self.lasting()
            )
            for service, member in self._agents(name, args).items()
        ]
        self.id: pulumi.Output[str] = pulumi.Output.all(key.id, *(one.id for one in used)).apply(
            lambda ids: str(ids[0])
        )
        self.register_outputs({"id": self.id})

    def _agents(self, name: str, args: KeyArgs) -> dict[str, pulumi.Input[str]]:
        """Google's own accounts by service. Some are there with the service, others when they are asked for."""
        context = args.context
        bucket = gcp.storage.get_project_service_account_output(
            project=context.account, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        agents: dict[str, pulumi.Input[str]] = {"storage": bucket.member}
        asked = ["artifactregistry"]
        asked += ["secretmanager"] if names.secrets(context) else []
        asked += ["aiplatform"] if context.settings.kind == "managed" else []
        for service in asked:
            agents[service] = gcp.projects.ServiceIdentity(
                f"{name}-{service}-agent",
                project=context.account,
                service=f"{service}.googleapis.com",
                opts=self.child(),
            ).member
        if context.settings.kind != "managed":
            agents["compute"] = f"serviceAccount:service-{args.number}@compute-system.iam.gserviceaccount.com"
        if context.settings.kind == "cluster":
            agents["container"] = f"serviceAccount:service-{args.number}@container-engine-robot.iam.gserviceaccount.com"
        return agents
