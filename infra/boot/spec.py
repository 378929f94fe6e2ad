"""What the script of a machine is made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from skylift.artifacts import layout
from skylift.errors import InputError

Cloud = Literal["aws", "gcp", "azure"]
Mode = Literal["train", "serve"]

SCHEMES: dict[Cloud, str] = {"aws": "s3", "gcp": "gs", "azure": "az"}
_IMAGE = re.compile(r"[a-z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class BootSpec:
    """Plain values only; nothing in it may be secret, for anybody who may describe the machine can read its script.

    Args:
        mode: `train` starts the run that the machine's tags name, `serve` one endpoint.
        stack: the stack's name, as in the tag `skylift-stack`.
        region: the cloud's name of the region.
        image: `registry/repository@sha256:digest`; tags are refused.
        registry: host of the registry, the beginning of `image`.
        keep: URL of the keep bucket, of the cloud's own scheme.
        work: URL of the work bucket.
        gpu: wait for the driver and give all GPUs to the container.
        port: that the server listens on.
        env: environment of the container, without secrets.
        endpoint: name of the endpoint (serve).
        flags: further options of `python -P -m serving` (serve).
        identity_client_id: of the user-assigned identity (Azure).
        account: AWS account, Google project or Azure subscription.
        max_hours: longest life of a machine, beside the end that its run group names (train; serving machines have none).
        driver_timeout_s: how long the driver may take to answer.
        agent_timeout_s: how long the host agent may take to be ready.
        logs: beside journald and the serial console: on AWS a CloudWatch log group, on Google the project whose Cloud Logging
            takes the containers' output; empty elsewhere (Azure's agent reads what journald hands on to syslog).
        log_rule: resource id of the data collection rule that the scale set of a run group is bound to (Azure, train).
        tls_secret: name of the secret with private key and certificates in one PEM, which the server finds in
            `/run/skylift/tls.pem`; on Azure `vault/name`, elsewhere of this account and region (serve).
        agent: run the host agent, which hands the run its credentials. Without it the run has the machine's own identity.

    Raises:
        InputError: values that cannot be right, the first one found.
    """

    mode: Mode
    stack: str
    region: str
    image: str
    registry: str
    keep: str
    work: str
    gpu: bool
    port: int = 8080
    env: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    flags: tuple[str, ...] = ()
    identity_client_id: str = ""
    account: str = ""
    max_hours: float | None = None
    driver_timeout_s: int = 600
    agent_timeout_s: int = 300
    logs: str = ""
    log_rule: str = ""
    tls_secret: str = ""
    agent: bool = True

    def __post_init__(self) -> None:
        _check_image(self)
        _check_mode(self)
        _check_environment(self)


def _check_image(spec: BootSpec) -> None:
    if not _IMAGE.fullmatch(spec.image):
        raise InputError(
            f"image {spec.image!r} is not named by its digest",
            hint="give registry/repository@sha256:… with 64 hexadecimal digits; a tag may move under running machines",
        )
    if spec.image.split("/", 1)[0] != spec.registry:
        raise InputError(
            f"image {spec.image!r} is not of the registry {spec.registry!r}",
            hint="machines sign in to one registry only: push the image there",
        )


def _check_mode(spec: BootSpec) -> None:
    if spec.mode == "serve":
        layout.check_name("endpoint", spec.endpoint)
        if spec.max_hours is not None:
            raise InputError(
                "serving machines have no max_hours", hint="leave it out: their group decides how many run"
            )
        return
    if spec.max_hours is None or spec.max_hours <= 0:
        raise InputError(
            f"max_hours {spec.max_hours!r} of a training machine", hint="give the hours after which it goes"
        )
    given = [name for name in ("endpoint", "flags", "tls_secret") if getattr(spec, name)]
    if given:
        raise InputError(f"training machines have no {', '.join(given)}", hint="these belong to mode 'serve'")


def _check_environment(spec: BootSpec) -> None:
    for name, value in spec.env.items():
        if not _VARIABLE.fullmatch(name):
            raise InputError(f"{name!r} is no name of an environment variable", hint="use letters, digits and _")
        if any(end in value for end in "\n\r\0"):
            raise InputError(f"the value of {name} has more than one line", hint="docker takes one line a variable")
