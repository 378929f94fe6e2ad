"""The stack's roles."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws import grants
from infra.aws.names import Names
from infra.aws.trust import trust, wanted
from infra.component import Component
from infra.context import Context
from infra.grants import Who


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    context: Context


class Identity(Component):
    """One role for each kind of work, with exactly the rights that infra.aws.grants lists; no users, no keys (AWS-IAM-04), no `*` in an
    action or as a principal (AWS-IAM-01, AWS-IAM-02), and the account's permissions boundary where the settings name one. Persons take
    their roles by `sts:AssumeRole`. A role that the settings bring is used as it is, and an instance profile of the same name with it.

    Attributes:
        arns: role -> ARN, of those that there are.
        profiles: role -> ARN of its instance profile (ec2: host and serving).
    """

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._names = name, Names(args.context)
        self.arns: dict[str, pulumi.Input[str]] = {}
        self.profiles: dict[str, pulumi.Input[str]] = {}
        given = {who for who in args.context.settings.identities.names() if self._given(who)}
        for who in dict.fromkeys((*wanted(self._names), *sorted(given))):
            self._role(who)  # type: ignore[arg-type]  # the fields of the settings are names of identities
        self.register_outputs({"arns": self.arns, "profiles": self.profiles})

    def _given(self, who: str) -> str | None:
        found: str | None = getattr(self.context.settings.identities, who, None)
        return found

    def _role(self, who: Who) -> None:
        needs_profile = self.context.settings.kind == "vm" and who in ("host", "serving")
        if self._given(who) is not None:
            self.arns[who] = self._names.role_arn(who)
            if needs_profile:
                self.profiles[who] = self._names.role_arn(who).replace(":role/", ":instance-profile/")
            return
        role = aws.iam.Role(
            f"{self._name}-{who}",
            name=self._names.role(who),
            description=f"Skylift stack {self.context.stack}: {who}",
            assume_role_policy=json.dumps(trust(self._names, who)),
            permissions_boundary=self.context.settings.permissions_boundary,
            opts=self.child(),
        )
        rights = self._rights(who, role)
        # Whoever uses the ARN waits for the rights too.
        self.arns[who] = pulumi.Output.all(role.arn, *(right.id for right in rights)).apply(lambda known: str(known[0]))
        if needs_profile:
            profile = aws.iam.InstanceProfile(
                f"{self._name}-{who}-profile", name=role.name, role=role.name, opts=self.child(depends_on=rights)
            )
            self.profiles[who] = profile.arn

    def _rights(self, who: Who, role: aws.iam.Role) -> list[pulumi.CustomResource]:
        found: list[pulumi.CustomResource] = []
        document = grants.document(self.context, who)
        if document["Statement"]:
            found.append(
                aws.iam.RolePolicy(
                    f"{self._name}-{who}-rights",
                    name="skylift",
                    role=role.name,
                    policy=json.dumps(document),
                    opts=self.child(),
                )
            )
        for policy in grants.managed(self.context, who):
            short = policy.rpartition("/")[2]
            attached = aws.iam.RolePolicyAttachment(
                f"{self._name}-{who}-{short}", role=role.name, policy_arn=policy, opts=self.child()
            )
            found.append(attached)
        return found
