"""The names that a manifest promises, for tensors that a file names in its own way."""

from __future__ import annotations

from collections.abc import Sequence

from serving.signature import Tensor
from skylift.errors import DeployError


def pair(
    found: Sequence[Tensor], wanted: Sequence[Tensor] | None, what: str, *, converted: frozenset[str] = frozenset()
) -> list[tuple[Tensor, str]]:
    """Tensors as they are served, each with the file's own name: by name where all names are the same, else by place.

    Args:
        wanted: what the manifest promises; None where there is none, so that the file's names stand.
        what: `input` or `output`, for messages.
        converted: the file's tensors that are float32 to whoever asks, whatever is stored.

    Raises:
        DeployError: they are others than promised; all that differ are named.
    """
    if wanted is None:
        return [(tensor, tensor.name) for tensor in found]
    by_name = {tensor.name: tensor for tensor in found}
    names = [tensor.name for tensor in wanted]
    if len(found) != len(wanted) or len(by_name) != len(found):
        raise DeployError(
            f"the file has {what}s {', '.join(by_name)}, the manifest promises {', '.join(names)}",
            hint="publish the version again",
        )
    chosen = [by_name[name] for name in names] if set(names) == set(by_name) else found
    mistakes = [
        f"{what} {promised.name!r} of the file is {tensor.dtype}, the manifest promises {promised.dtype}"
        for promised, tensor in zip(wanted, chosen, strict=True)
        if promised.dtype != tensor.dtype and not (tensor.name in converted and promised.dtype == "float32")
    ]
    if mistakes:
        raise DeployError("; ".join(mistakes), hint="publish the version again")
    return [
        (Tensor(promised.name, promised.dtype, tensor.shape), tensor.name)
        for promised, tensor in zip(wanted, chosen, strict=True)
    ]
