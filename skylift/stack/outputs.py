"""The outputs contract: what infra promises of a stack that is up, and all that commands know of it.

It is the same for every target. `encode` makes the plain values that the Pulumi program exports, `decode` reads what
`pulumi stack output --json` prints. Small and without secrets: addresses and names only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.errors import ProvisionError

CONTRACT = 1


class Buckets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """URLs of the two buckets: `file:///…`, `s3://…`, `gs://…` or `az://account/container`."""

    keep: str
    work: str


class EndpointOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A served address.

    Args:
        url: base of the HTTP routes, `http://127.0.0.1:8501`.
        access: how a laptop reaches it: `direct` needs nothing.
        settled: how long a new deployment may take to answer everywhere [s].
    """

    url: str
    access: str = "direct"
    settled: float = 120.0


class PoolOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs may start from.

    Args:
        accelerator: `cpu` or the accelerator's name in the catalog.
        cpus: virtual CPUs of one machine.
        memory: of one machine [GiB].
    """

    accelerator: str
    cpus: int
    memory: float


class Outputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a stack promises. `registry` is None and `identities` empty where the target needs none (`local`)."""

    contract: int
    target: str
    buckets: Buckets
    endpoints: dict[str, EndpointOutput]
    pools: dict[str, PoolOutput]
    registry: str | None = None
    identities: dict[str, str] = {}


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
