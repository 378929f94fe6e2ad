"""Names and ARNs of a stack on AWS, known before anything is made, so that policies are whole at preview. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from infra.context import Context
from infra.grants import Who

PARTITION = "aws"
"""The catalog knows the regions of the commercial partition only."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the part of it that is the stack's: all of it, or what lies under a prefix."""

    name: str
    prefix: str = ""
    made: bool = True

    @property
    def arn(self) -> str:
        return f"arn:{PARTITION}:s3:::{self.name}"

    @property
    def url(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def objects(self, *patterns: str) -> tuple[str, ...]:
        """ARNs of objects, `runs/*` for all under a prefix."""
        return tuple(f"{self.arn}/{self.key(pattern)}" for pattern in patterns)


@dataclass(frozen=True)
class Names:
    """All names of one stack."""

    context: Context

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        region = self.context.region if regional else ""
        return f"arn:{PARTITION}:{service}:{region}:{self.context.account}:{resource}"

    # data

    @cached_property
    def keep(self) -> Bucket:
        return self._bucket("keep", self.context.settings.buckets.keep)

    @cached_property
    def work(self) -> Bucket:
        return self._bucket("work", self.context.settings.buckets.work)

    @property
    def audit_bucket(self) -> Bucket:
        return Bucket(self.context.name("audit", unique=True))

    @property
    def trail(self) -> str:
        return self.context.name("data", unique=True, most=128)

    @property
    def key_alias(self) -> str:
        return f"alias/{self.context.name(unique=True, most=200)}"

    def secret(self, name: str) -> str:
        return f"{self.context.base}/{name}"

    def api_keys(self, endpoint: str) -> str:
        return f"{self.context.base}/endpoints/{endpoint}/api-keys"

    def api_keys_arn(self, endpoint: str) -> str:
        """As a server is told it; Secrets Manager finds an entry by its ARN without the characters that it adds."""
        return self.arn("secretsmanager", f"secret:{self.api_keys(endpoint)}")

    def secret_arn(self, name: str) -> str:
        """Secrets Manager adds a hyphen and six characters of its own to each name:
        https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html"""
        return self.arn("secretsmanager", f"secret:{name}-??????")

    # images

    @cached_property
    def registry(self) -> str:
        """Host and path that images are pushed to; `/training` and `/serving` follow."""
        host = f"{self.context.account}.dkr.ecr.{self.context.region}.amazonaws.com"
        return self.context.settings.registry or f"{host}/{self.context.base}"

    @property
    def registry_host(self) -> str:
        return self.registry.partition("/")[0]

    def repository(self, kind: str) -> str:
        path = self.registry.partition("/")[2]
        return f"{path}/{kind}" if path else kind

    def repository_arn(self, kind: str) -> str:
        """The registry may belong to another account: its host says to which. Another host than ECR's is refused by the checks."""
        told = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com", self.registry_host)
        account, region = told.groups() if told else (self.context.account, self.context.region)
        return f"arn:{PARTITION}:ecr:{region}:{account}:repository/{self.repository(kind)}"

    # identities

    def role(self, who: Who) -> str:
        return self.context.name(who, unique=True, most=64)

    def role_arn(self, who: Who) -> str:
        """The role in use: of the settings, or the stack's own. Of a referenced host only the instance profile is known, which by
        IAM's own convention carries its role's name."""
        given: str | None = getattr(self.context.settings.identities, who, None)
        if given is not None and ":instance-profile/" in given:
            return given.replace(":instance-profile/", ":role/")
        return given or self.arn("iam", f"role/{self.role(who)}", regional=False)

    def role_name(self, who: Who) -> str:
        return self.role_arn(who).rpartition("/")[2]

    # what computes

    @property
    def cluster(self) -> str:
        return self.context.settings.cluster.name or self.context.name(most=100)

    def group(self, endpoint: str) -> str:
        """Auto Scaling group of an endpoint."""
        return self.context.name("serve", endpoint, most=255)

    @property
    def run_groups(self) -> str:
        """Beginning of the names of run groups; a run's id follows."""
        return self.context.name("run", most=200) + "-"

    def group_arn(self, name: str) -> str:
        """The service puts an id of its own before the name."""
        return self.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")

    def endpoint(self, endpoint: str) -> str:
        """SageMaker's endpoint."""
        return self.context.name(endpoint, most=63)

    def endpoint_arn(self, endpoint: str) -> str:
        return self.arn("sagemaker", f"endpoint/{self.endpoint(endpoint)}")

    @property
    def training_jobs(self) -> str:
        """Beginning of the names of training jobs; a run's id follows, so 63 letters must suffice for both."""
        return self.context.name(most=63 - 1 - len("20261122t234501-abcdef")) + "-"

    @property
    def reaper(self) -> str:
        return self.context.name("reaper", most=64)

    # logs

    @property
    def log_group(self) -> str:
        """Output of the containers on machines."""
        return f"/skylift/{self.context.base}"

    @property
    def pod_logs(self) -> str:
        """Output of pods, where the log agent of EKS puts it."""
        return f"/aws/containerinsights/{self.cluster}/application"

    @property
    def pod_metrics(self) -> str:
        """What the same agent counts, in records that CloudWatch makes metrics of."""
        return f"/aws/containerinsights/{self.cluster}/performance"

    def _bucket(self, kind: str, url: str | None) -> Bucket:
        if url is None:
            return Bucket(self.context.name(kind, unique=True))
        name, _, prefix = url.removeprefix("s3://").partition("/")
        return Bucket(name, prefix, made=False)
