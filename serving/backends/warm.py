"""First calls, made before anybody waits for them: memory is allocated, kernels are chosen, graphs are traced."""

from __future__ import annotations

import numpy as np

from serving.backends.base import Array, Backend, RunError
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError


def warm(backend: Backend, max_batch_rows: int) -> None:
    """Run rows of zeros, one at a time and as many as a batch may hold.

    Raises:
        DeployError: the model cannot compute what its signature promises. Where the signature leaves something open (strings,
            varying dimensions) zeros prove nothing, and a refusal is no error.
    """
    signature = backend.signatures[DEFAULT_SIGNATURE]
    is_proof = all(tensor.row_shape is not None and tensor.dtype != "string" for tensor in signature.inputs)
    for rows in (1, max_batch_rows) if signature.is_batched else (1,):
        try:
            backend.run(DEFAULT_SIGNATURE, zeros(signature, rows))
        except RunError as error:
            if is_proof:
                raise DeployError(
                    f"the model fails on {rows} rows of zeros: {error.message}",
                    hint="check the version with `skylift models show`, and its recipe",
                ) from None
            return


def zeros(signature: ModelSignature, rows: int) -> dict[str, Array]:
    return {tensor.name: _zero(tensor, rows) for tensor in signature.inputs}


def _zero(tensor: Tensor, rows: int) -> Array:
    shape = tensor.shape if tensor.shape is not None else (None,)
    full = tuple((rows if axis == 0 else 1) if size is None else size for axis, size in enumerate(shape))
    if tensor.dtype == "string":
        return np.full(full, b"", dtype=object)
    return np.zeros(full, dtype=tensor.dtype)
