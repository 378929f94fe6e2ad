"""Entries of Secrets Manager, made empty."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """`key`: ARN of the key that encrypts; None for the service's own."""

    context: Context
    key: pulumi.Input[str] | None = None


class Secrets(Component):
    """One entry for each name in `secrets` (runs read them by name), and one for the API-key hashes of each endpoint that has keys. The
    values come later, by hand, and never pass through Pulumi. About 0.40 USD each a month. What is deleted can be had back for 30
    days, in a disposable stack not at all, so that its names are free at once (AWS-SEC-01).

    Attributes:
        names: what launchers and endpoints name: entry -> name in Secrets Manager.
    """

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        names, settings = Names(args.context), args.context.settings
        wanted = {entry: (names.secret(entry), "runs may name it") for entry in settings.secrets}
        for endpoint, its in settings.endpoints.items():
            if its.api_keys:
                wanted[f"endpoints/{endpoint}/api-keys"] = (
                    names.api_keys(endpoint),
                    f"hashes of API keys of {endpoint}",
                )
        self.names: dict[str, pulumi.Output[str]] = {}
        for entry, (path, what) in sorted(wanted.items()):
            secret = aws.secretsmanager.Secret(
                f"{name}-{entry.replace('/', '-')}",
                name=path,
                description=f"Skylift stack {args.context.stack}: {what}",
                kms_key_id=args.key,
                recovery_window_in_days=30 if args.context.keeps_data else 0,
                opts=self.lasting(),
            )
            self.names[entry] = secret.name
        self.register_outputs({"names": self.names})
