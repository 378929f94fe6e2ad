"""Names of a stack's things on Google Cloud, known before anything is made, so that every policy is known at preview.

What the settings name stands for what the stack would make."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, get_args

from infra.context import Context
from infra.grants import Who
from skylift.errors import SettingsError

Identity = Literal["training", "serving", "host", "launcher", "releaser", "approver", "custodian", "reaper", "nodes"]
"""Identities that a stack may have on Google Cloud. A GKE control plane has none of its own."""

_ACCOUNT_MOST = 30
"""Letters of a service account's id, https://cloud.google.com/iam/docs/service-accounts-create"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A bucket, perhaps a folder in it.

    Attributes:
        folder: empty, or ends in `/`.
        own: whether the stack makes it.
    """

    bucket: str
    folder: str
    own: bool

    @property
    def url(self) -> str:
        return f"gs://{self.bucket}/{self.folder}".rstrip("/")

    @property
    def resource(self) -> str:
        """As IAM names it."""
        return f"projects/_/buckets/{self.bucket}"

    def objects(self, prefix: str) -> str:
        """Beginning of the names of the objects under a prefix, as IAM conditions compare it."""
        return f"{self.resource}/objects/{self.folder}{prefix}"


def bucket(context: Context, kind: Literal["keep", "work"]) -> Place:
    url = getattr(context.settings.buckets, kind)
    if url is None:
        return Place(bucket=context.name(kind, unique=True), folder="", own=True)
    name, _, folder = url.removeprefix("gs://").partition("/")
    return Place(bucket=name, folder=f"{folder}/" if folder else "", own=False)


def wanted(context: Context) -> tuple[Identity, ...]:
    """The identities of the stack's target. An approver is there where an endpoint asks for approval."""
    beside: dict[str, tuple[Identity, ...]] = {"vm": ("host", "reaper"), "cluster": ("nodes",), "managed": ()}
    approval = any(plan.settings.approval for plan in context.endpoints.values())
    asked = {"training", "serving", "launcher", "releaser", "custodian", *beside[context.settings.kind]}
    return tuple(who for who in get_args(Identity) if who in asked or (who == "approver" and approval))


def workloads(context: Context) -> tuple[Identity, ...]:
    """Identities that are no service accounts but the cluster's own, which Google's IAM knows by principals."""
    pods: tuple[Identity, ...] = ("training", "serving") if context.settings.kind == "cluster" else ()
    return tuple(who for who in pods if given(context, who) is None)


def given(context: Context, who: str) -> str | None:
    """The service account that the settings name for an identity.

    Raises:
        SettingsError: it is no service account's e-mail.
    """
    email: str | None = getattr(context.settings.identities, who, None)
    if email is not None and not email.endswith(".gserviceaccount.com"):
        raise SettingsError(
            f"skylift:identities.{who}: {email!r} is no service account",
            hint="give its e-mail: NAME@PROJECT.iam.gserviceaccount.com",
        )
    return email


def makes(context: Context) -> tuple[Identity, ...]:
    """The identities that the stack makes and grants to; with none of them `up` needs no right over IAM."""
    return tuple(who for who in wanted(context) if given(context, who) is None)


def account_id(context: Context, who: Who | Identity) -> str:
    """Id of a service account."""
    return _fitting(context, who, _ACCOUNT_MOST)


def slug(name: str, most: int = 16) -> str:
    """A pool's, endpoint's or secret's name as a part of Google's names: letters, digits and `-`, cut where it is long.

    Examples:
        >>> slug("gpu"), slug("fraud_model.v2-europe")
        ('gpu', 'fraud-model-5a15')
    """
    plain = re.sub("[^a-z0-9]+", "-", name)
    if plain == name and len(name) <= most:
        return name
    return f"{plain[: most - 5].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def _fitting(context: Context, part: str, most: int) -> str:
    """The plain name where it fits, else a shortened one that the stack's suffix keeps apart from others."""
    plain = f"{context.base}-{part}"
    if len(plain) <= most:
        return plain
    return f"{context.base[: most - len(part) - len(context.suffix) - 2].rstrip('-')}-{part}-{context.suffix}"


def email(context: Context, who: Who | Identity) -> str:
    return given(context, who) or f"{account_id(context, who)}@{context.account}.iam.gserviceaccount.com"


def account(context: Context, who: Who | Identity) -> str:
    """A service account as IAM names it."""
    found = email(context, who)
    domain = found.partition("@")[2]
    project = domain.removesuffix(".iam.gserviceaccount.com") if domain.endswith(".iam.gserviceaccount.com") else "-"
    return f"projects/{project}/serviceAccounts/{found}"


def project(context: Context) -> str:
    return f"projects/{context.account}"


def role_id(context: Context, *parts: str) -> str:
    """Id of a custom role: letters, digits and `_`, at most 64 (https://cloud.google.com/iam/docs/creating-custom-roles)."""
    return _fitting(context, "-".join(parts), 64).replace("-", "_")


def registry(context: Context) -> str:
    """Host and path that images are pushed to."""
    return context.settings.registry or f"{context.region}-docker.pkg.dev/{context.account}/{context.name(most=63)}"


def repository(context: Context) -> str:
    """The registry as IAM names it.

    Raises:
        SettingsError: the registry of the settings is not in Artifact Registry.
    """
    host, _, path = registry(context).partition("/")
    words = path.split("/")
    if not host.endswith("-docker.pkg.dev") or len(words) < 2:
        raise SettingsError(
            f"skylift:registry: {context.settings.registry!r} is no repository of Artifact Registry",
            hint="give LOCATION-docker.pkg.dev/PROJECT/REPOSITORY; Vertex AI and machines sign in there by their identity",
        )
    return f"projects/{words[0]}/locations/{host.removesuffix('-docker.pkg.dev')}/repositories/{words[1]}"


def secret(context: Context, name: str) -> str:
    """Id of an entry of the secret store."""
    return context.name(slug(name, most=63), most=255)


def secrets(context: Context) -> dict[str, str]:
    """Every entry of the stack: name in the outputs, id in the store. `api-keys-<endpoint>` holds hashes of API keys."""
    keys = [f"api-keys-{name}" for name, plan in context.endpoints.items() if plan.settings.api_keys]
    return {name: secret(context, name) for name in (*context.settings.secrets, *keys)}


def secret_resource(context: Context, identifier: str) -> str:
    return f"{project(context)}/secrets/{identifier}"


def api_keys(context: Context, endpoint: str) -> str:
    """The entry with hashes of an endpoint's API keys, as a server is told it."""
    return secret_resource(context, secret(context, f"api-keys-{endpoint}"))


def run_prefix(context: Context) -> str:
    """Beginning of the names of run groups; a run's id follows."""
    return _fitting(context, "run", 39) + "-"


def forwarding_rule(context: Context, endpoint: str) -> str:
    """Known before it is made, for alarms count requests by it."""
    return context.name("serve", slug(endpoint), most=63)


def serving_group(context: Context, endpoint: str) -> str:
    """Name of an endpoint's machines, and the beginning of their group's."""
    return context.name("serve", slug(endpoint), most=58)


def log_bucket(context: Context) -> str:
    return context.name("logs", most=100)


def cluster(context: Context) -> str:
    """Of the settings, or the one that the stack makes: GKE takes 40 letters."""
    return context.settings.cluster.name or _fitting(context, "cluster", 40)


def reaper(context: Context) -> str:
    """The function's name, and its clock's."""
    return context.name("reaper", most=49)


def endpoint_id(context: Context, name: str) -> str:
    """Vertex AI takes up to ten digits that do not begin with 0 as an endpoint's id, and nothing else."""
    digits = int(hashlib.sha256(f"{context.base}/{context.suffix}/{name}".encode()).hexdigest(), 16)
    return str(10**9 + digits % (9 * 10**9))


def endpoint(context: Context, name: str) -> str:
    """An endpoint of Vertex AI as IAM names it."""
    return f"{project(context)}/locations/{context.region}/endpoints/{endpoint_id(context, name)}"


def workload(context: Context, number: str, who: str) -> str:
    """A Kubernetes service account of the stack's namespace as IAM names it, without any key or impersonation.

    https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
    """
    pool = f"projects/{number}/locations/global/workloadIdentityPools/{context.account}.svc.id.goog"
    return f"principal://iam.googleapis.com/{pool}/subject/ns/{context.settings.cluster.namespace}/sa/{who}"


def mark(principal: str) -> str:
    """A principal as part of a name: readable, and apart from others that read alike."""
    plain = re.sub("[^a-z0-9]+", "-", principal.rpartition(":")[2].lower()).strip("-")[-24:]
    return f"{plain}-{hashlib.sha256(principal.encode()).hexdigest()[:6]}"
