"""The stack's service accounts and custom roles."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import grants, names

_TASKS: dict[names.Identity, str] = {
    "training": "runs training containers",
    "serving": "runs serving containers",
    "host": "runs the agent of training machines",
    "launcher": "starts runs",
    "releaser": "deploys",
    "approver": "approves releases",
    "custodian": "deletes models, datasets and runs",
    "reaper": "removes what is past its end",
    "nodes": "runs the nodes of the cluster",
}


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """
    Args:
        number: the project's number.
    """

    context: Context
    number: str


class Identities(Component):
    """One service account for each identity of DESIGN's table that the settings do not name, none with a key.

    Pods have no service account at Google: their own in the cluster is the principal. With a custom role for each set of permissions
    that no predefined role is narrow enough for. A deleted role's id stays reserved for some weeks; the provider brings such a role
    back instead of making it anew.

    Attributes:
        emails: by identity, of made and of named ones, known once they are there; of pods the principal.
        members: the same as IAM names them.
        roles: names of the custom roles, by name, known once they are there.
    """

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        context = args.context
        self.emails: dict[str, pulumi.Output[str]] = {}
        self.members: dict[str, pulumi.Output[str]] = {}
        for who in names.wanted(context):
            if who in names.workloads(context):
                self.emails[who] = pulumi.Output.from_input(names.workload(context, args.number, who))
                self.members[who] = self.emails[who]
                continue
            here = who in names.makes(context)
            known = pulumi.Output.from_input(names.email(context, who))
            self.emails[who] = self._account(f"{name}-{who}", who) if here else known
            self.members[who] = pulumi.Output.concat("serviceAccount:", self.emails[who])
        self.roles = {
            grants.role_name(context, one): self._role(f"{name}-{one}", one, role.permissions)
            for one, role in grants.custom_roles(context).items()
            if role.who in names.makes(context) or (role.who == "caller" and context.settings.access.predict)
        }
        self.register_outputs({"emails": self.emails, "roles": list(self.roles.values())})

    def _account(self, name: str, who: names.Identity) -> pulumi.Output[str]:
        return gcp.serviceaccount.Account(
            name,
            account_id=names.account_id(self.context, who),
            display_name=f"Skylift {self.context.stack}: {who}"[:100],
            description=f"{_TASKS[who]} of the stack {self.context.stack}",
            opts=self.child(),
        ).email

    def _role(self, name: str, identifier: str, held: tuple[str, ...]) -> pulumi.Output[str]:
        return gcp.projects.IAMCustomRole(
            name,
            role_id=identifier,
            title=identifier.replace("_", " ")[:100],
            description=f"Of the Skylift stack {self.context.stack}",
            permissions=list(held),
            opts=self.child(),
        ).name
