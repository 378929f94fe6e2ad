"""The two image repositories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.component import Component
from infra.context import Context

UNTAGGED_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """`key`: ARN of the key that encrypts; None for ECR's own encryption."""

    context: Context
    key: pulumi.Input[str] | None = None


class Registry(Component):
    """ECR repositories `training` and `serving`: tags never move (AWS-ECR-01), images are scanned when pushed (AWS-ECR-02), untagged
    ones go after a week and tagged ones beyond `retention.images` (AWS-ECR-03). No repository policy: the runtime identities pull by
    their own rights, nobody else. About 0.10 USD per GB and month. Kept with the data, for the settings name
    images by digest, which no build makes anew; a disposable stack's are deleted with what is in them.

    Attributes:
        url: host and path; `/training` and `/serving` follow.
    """

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        names = Names(args.context)
        self.url: pulumi.Output[str] = pulumi.Output.from_input(names.registry)
        if args.context.settings.registry is None:
            made = [
                self._repository(f"{name}-{kind}", names.repository(kind), args.key) for kind in ("training", "serving")
            ]
            known = [one.repository_url for one in made]
            self.url = pulumi.Output.all(names.registry, *known).apply(lambda all_: str(all_[0]))
        self.register_outputs({"url": self.url})

    def _repository(self, name: str, path: str, key: pulumi.Input[str] | None) -> aws.ecr.Repository:
        encryption = aws.ecr.RepositoryEncryptionConfigurationArgs(
            encryption_type="AES256" if key is None else "KMS", kms_key=key
        )
        repository = aws.ecr.Repository(
            name,
            name=path,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[encryption],
            force_delete=not self.context.keeps_data,
            opts=self.lasting(),
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-expiry",
            repository=repository.name,
            policy=json.dumps(expiry(self.context.settings.retention.images)),
            opts=self.lasting(),
        )
        return repository


def expiry(images: int) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html"""
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    }
    most = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": images}
    said = ("untagged images go after a week", f"the newest {images} stay")
    return {
        "rules": [
            {"rulePriority": priority, "description": text, "selection": selection, "action": {"type": "expire"}}
            for priority, (text, selection) in enumerate(zip(said, (untagged, most), strict=True), start=1)
        ]
    }
