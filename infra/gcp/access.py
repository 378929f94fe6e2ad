"""Turns grants into members of IAM policies. Nothing else in this folder gives a right over the stack's things."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import grants, names
from infra.gcp.grants_runs import IMPERSONATE
from infra.grants import Grant

PERSONS: dict[str, names.Identity] = {
    "train": "launcher",
    "release": "releaser",
    "approve": "approver",
    "clean": "custodian",
}
"""Which identity the principals of skylift:access.<key> take on. `predict` needs none: callers are granted themselves."""


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """
    Args:
        who: whose rights to grant here; those of pods wait for their cluster.
        members: of each of them, as IAM names it.
        roles: custom roles by name, known once they are there.
        things: buckets, repository and secrets by IAM's name, each known once it is there.
        after: what must be there before.
    """

    context: Context
    who: Sequence[str]
    members: Mapping[str, pulumi.Input[str]]
    roles: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    things: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class Access(Component):
    """Adds members to policies and never replaces a policy: what others have granted stays.

    What the stack does not make gets nothing here: `skylift permissions` prints what its owner has to grant. People and robots of
    skylift:access take on an identity of the stack for an hour, by tokens of that one service account; nobody is granted this on the
    project, and there are no keys.

    Attributes:
        granted: the members, for what must not start before it has its rights.
    """

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self.granted: list[pulumi.Resource] = []
        made = grants.custom_roles(args.context)
        for grant in grants.grants(args.context):
            for member_name, member in self._members(grant.who):
                for role in grants.roles_of(args.context, grant, made):
                    for root in grants.roots(grant):
                        self._bind(f"{grant.who}{member_name}", member, grant, role, root)
        self._take_on()
        self.register_outputs({"granted": len(self.granted)})

    def _members(self, who: str) -> Iterator[tuple[str, pulumi.Input[str]]]:
        args = self._args
        if who == "caller" and who in args.who:
            yield from ((f"-{names.mark(one)}", one) for one in args.context.settings.access.predict)
        elif who in args.who and who in names.makes(args.context):
            yield "", args.members[who]

    def _bind(self, label: str, member: pulumi.Input[str], grant: Grant, role: str, root: str) -> None:
        words = (self._name, label, role.rpartition("/")[2], self._label(root), grant.condition.get("title", ""))
        name = "-".join(re.sub("[^a-z0-9-]+", "-", word.lower()).strip("-") for word in words if word)
        bind = {
            "buckets": self._bucket,
            "repositories": self._repository,
            "secrets": self._secret,
            "serviceAccounts": self._service_account,
            "iap_tunnel": self._tunnel,
            "projects": self._project,
        }.get(_kind(root))
        thing = self._thing(root)
        if (
            bind is not None and thing is not None
        ):  # endpoints of Vertex AI and the reaper are granted where they are made
            held = {
                "member": member,
                "role": self._args.roles.get(role, role),
                "opts": self.child(depends_on=list(self._args.after)),
            }
            self.granted.append(bind(name, thing, grant, held))

    def _bucket(self, name: str, thing: pulumi.Input[str], grant: Grant, held: Any) -> pulumi.Resource:
        condition = _condition(gcp.storage.BucketIAMMemberConditionArgs, grant)
        return gcp.storage.BucketIAMMember(name, bucket=thing, condition=condition, **held)

    def _repository(self, name: str, thing: pulumi.Input[str], _grant: Grant, held: Any) -> pulumi.Resource:
        return gcp.artifactregistry.RepositoryIamMember(name, repository=thing, **held)

    def _secret(self, name: str, thing: pulumi.Input[str], _grant: Grant, held: Any) -> pulumi.Resource:
        return gcp.secretmanager.SecretIamMember(name, secret_id=thing, **held)

    def _service_account(self, name: str, thing: pulumi.Input[str], _grant: Grant, held: Any) -> pulumi.Resource:
        return gcp.serviceaccount.IAMMember(name, service_account_id=thing, **held)

    def _tunnel(self, name: str, _thing: pulumi.Input[str], grant: Grant, held: Any) -> pulumi.Resource:
        condition = _condition(gcp.iap.TunnelIamMemberConditionArgs, grant)
        return gcp.iap.TunnelIamMember(name, project=self.context.account, condition=condition, **held)

    def _project(self, name: str, _thing: pulumi.Input[str], grant: Grant, held: Any) -> pulumi.Resource:
        condition = _condition(gcp.projects.IAMMemberConditionArgs, grant)
        return gcp.projects.IAMMember(name, project=self.context.account, condition=condition, **held)

    def _thing(self, root: str) -> pulumi.Input[str] | None:
        """A resource as its IAM member names it, known once it is there; None for a service account that is not of the stack."""
        return self._account(root) if _kind(root) == "serviceAccounts" else self._args.things.get(root, root)

    def _label(self, root: str) -> str:
        places = {
            names.bucket(self.context, "keep").resource: "keep",
            names.bucket(self.context, "work").resource: "work",
        }
        last = root.rpartition("/")[2].partition("@")[0]
        return places.get(root) or {"projects": "project", "repositories": "images"}.get(_kind(root)) or last

    def _account(self, root: str) -> pulumi.Input[str] | None:
        """A service account that the stack makes; None for any other."""
        for who in names.makes(self.context):
            if names.account(self.context, who) == root:
                email = pulumi.Output.from_input(self._args.members[who]).apply(lambda text: text.partition(":")[2])
                return pulumi.Output.concat(root.rpartition("/")[0], "/", email)
        return None

    def _take_on(self) -> None:
        for key, who in PERSONS.items():
            account = names.account(self.context, who)
            if who not in self._args.who or self._account(account) is None:
                continue
            for principal in getattr(self.context.settings.access, key):
                member = gcp.serviceaccount.IAMMember(
                    f"{self._name}-{who}-by-{names.mark(principal)}",
                    service_account_id=self._account(account) or "",
                    role=IMPERSONATE,
                    member=principal,
                    opts=self.child(),
                )
                self.granted.append(member)


def _condition(kind: Any, grant: Grant) -> Any:
    return kind(**grant.condition) if grant.condition else None


def _kind(root: str) -> str:
    """Of projects/P/secrets/S `secrets`, of projects/P `projects`."""
    *_, kind, last = root.split("/")
    return last if last == "iap_tunnel" else kind
