"""Who the pods of an AKS cluster are to Azure."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.ground import Ground
from infra.azure.names import Names, last
from infra.component import Component
from infra.kubernetes.naming import Role
from infra.kubernetes.workloads import Account

USE = {"azure.workload.identity/use": "true"}
"""Label of pods that sign in to Azure: https://learn.microsoft.com/azure/aks/workload-identity-overview"""
AUDIENCE = "api://AzureADTokenExchange"
PODS: tuple[Role, ...] = ("training", "serving")


@dataclass(frozen=True, kw_only=True)
class TrustArgs:
    """
    Args:
        issuer: of the tokens of the cluster's service accounts.
    """

    ground: Ground
    issuer: pulumi.Input[str]


class Trust(Component):
    """Lets each managed identity of the stack trust the service account of the same name, and no other. Referenced identities are not
    changed: the stack says what their owner does.

    Attributes:
        accounts: by role.
    """

    def __init__(self, name: str, args: TrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.ground.context, opts)
        self._name, self._args = name, args
        of = args.ground.identities.of
        made: list[pulumi.Resource] = []
        for role in PODS:
            if of[role].is_made:
                made.append(self._credential(role, made))
            else:
                self._ask(role)
        self.accounts: dict[Role, Account] = {
            role: Account(
                annotations={"azure.workload.identity/client-id": of[role].client_id}, labels=USE, pod_labels=USE
            )
            for role in PODS
        }
        self.register_outputs({"subjects": [self._subject(role) for role in PODS]})

    def _credential(self, role: Role, before: list[pulumi.Resource]) -> pulumi.Resource:
        """One after the other: Azure refuses two such changes at a time."""
        return azure.managedidentity.FederatedIdentityCredential(
            f"{self._name}-{role}",
            resource_group_name=self._args.ground.group,
            resource_name_=last(Names(self.context).identity_id(role)),
            federated_identity_credential_resource_name=self.context.name(role, most=120),
            issuer=self._args.issuer,
            subject=self._subject(role),
            audiences=[AUDIENCE],
            opts=self.child(depends_on=[self._args.ground.identities, *before]),
        )

    def _ask(self, role: Role) -> None:
        pulumi.log.warn(
            f"skylift:identities.{role} must trust the cluster before its pods can sign in: `az identity federated-credential create "
            f"--subject {self._subject(role)} --audiences {AUDIENCE} --issuer …`, with the issuer that the stack's outputs tell",
            self,
        )

    def _subject(self, role: Role) -> str:
        return f"system:serviceaccount:{self.context.settings.cluster.namespace}:{role}"
