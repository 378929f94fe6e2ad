"""The outputs contract: what infra promises of a stack that is up, and all that commands know of it.

It is the same for every target. `encode` makes the plain values that the Pulumi program exports, `decode` reads what
`pulumi stack output --json` prints. Small and without secrets: addresses and names only.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from skylift.errors import ProvisionError

CONTRACT = 2

Access = Literal[
    "direct", "network", "ssm", "iap", "gke-dns", "eks", "aks", "bastion", "sagemaker", "vertex", "azureml"
]
"""How a laptop reaches an endpoint: `direct` needs nothing, `network` is only from inside the stack's network, the others are ways of the
cloud's own."""


class Buckets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """URLs of the two buckets: `file:///…`, `s3://…`, `gs://…` or `az://account/container`."""

    keep: str
    work: str


class EndpointOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A served address.

    Args:
        url: base of the HTTP routes, `http://127.0.0.1:8501`; empty while no serving image is set, for nothing answers then.
        access: how a laptop reaches it.
        settled: how long a new deployment may take to answer everywhere [s].
        resource: what the cloud calls it: name or id of the managed endpoint, load balancer, instance group or Kubernetes service.
        approval: whether a release needs the approver's consent.
    """

    url: str
    access: Access = "direct"
    settled: float = 120.0
    resource: str = ""
    approval: bool = False


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a launcher makes a run group from. Costs nothing.

    Args:
        machine: machine type.
        spot: whether its machines are interruptible.
        id: launch template (AWS) or instance template (Google); for the other kinds empty.
        body: request body of a scale set (Azure VM), or node selector and tolerations (clusters).
    """

    machine: str
    spot: bool
    id: str = ""
    body: dict[str, Any] = {}


class PoolOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs may start from.

    Args:
        accelerator: `cpu` or the accelerator's name in the catalog.
        count: accelerators of one machine; 0 for `cpu`.
        cpus: virtual CPUs of one machine of the first choice.
        memory: of the same [GiB].
        machines: machine types in order of preference; empty on `local`.
        zones: in order of preference.
        spot: whether runs may take interruptible machines.
        max_machines: at the same time.
        max_hours: after which machines are removed [h]; 0 on `local`, where nothing is billed.
        checkpoint_minutes: time between checkpoints [min].
        templates: in order of preference; empty on managed services, and where no training image is set.
    """

    accelerator: str
    cpus: int
    memory: float
    count: int = 0
    machines: list[str] = []
    zones: list[str] = []
    spot: bool = False
    max_machines: int = 1
    max_hours: float = 0.0
    checkpoint_minutes: float = 0.0
    templates: list[Template] = []


class Outputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a stack promises, the same for every target; what a target does not have is empty.

    Args:
        identities: by role (training, serving, host, launcher, releaser, approver, custodian): role ARN, e-mail or resource id.
        place: what launchers must name beside: `cluster`, `namespace`, `workspace`, `resource_group`, `subnets`, `security_groups`,
            `log_group`, … ; texts, lists joined by commas.
        registry: host and path that images are pushed to.
    """

    contract: int
    target: str
    buckets: Buckets
    endpoints: dict[str, EndpointOutput]
    pools: dict[str, PoolOutput]
    region: str = ""
    account: str = ""
    registry: str | None = None
    identities: dict[str, str] = {}
    place: dict[str, str] = {}
    secrets: dict[str, str] = {}


def encode(outputs: Outputs) -> dict[str, Any]:
    """Plain values, ready for `pulumi.export`."""
    plain: dict[str, Any] = msgspec.to_builtins(outputs)
    return plain


def decode(plain: dict[str, Any], stack: str) -> Outputs:
    """Read a stack's outputs.

    Raises:
        ProvisionError: the stack has none (never up, or destroyed), or they are of another contract.
    """
    if not plain:
        raise ProvisionError(f"stack {stack!r} is not up", hint=f"run `skylift up {stack}`", details={"stack": stack})
    if plain.get("contract") != CONTRACT:
        raise ProvisionError(
            f"stack {stack!r} was brought up by another release of skylift (outputs contract {plain.get('contract')!r}, "
            f"this release reads {CONTRACT})",
            hint=f"run `skylift up {stack}`",
            details={"stack": stack},
        )
    try:
        return msgspec.convert(plain, Outputs)
    except msgspec.ValidationError as error:
        raise ProvisionError(
            f"the outputs of stack {stack!r} are not as promised: {error}",
            hint=f"run `skylift up {stack}`; if that does not help, the program in use is not skylift's",
            details={"stack": stack},
        ) from None
