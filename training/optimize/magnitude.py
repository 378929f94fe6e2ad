"""Magnitude pruning: the smallest weights become zero while the model learns on, more and more of them, and stay zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.contract import Array
from training.optimize.bench import Bench, UnfitError, Variant
from training.optimize.tuning import steps_of, tune

SPARSITY = 0.8
LEAST = 64
"""Weights that a kernel must have to be pruned."""
RISE = 0.75
"""Of the steps: then the last share is reached, and the rest heals."""
TIMES = 40
"""How often the masks are drawn anew on the way."""


def prune(bench: Bench) -> Variant:
    """Prune every kernel to the same share of zeros, along a polynomial of third degree (Zhu and Gupta, 2017).

    Raises:
        UnfitError: no kernel is worth it.
        InputError: there are no data to learn from.
    """
    wanted = SPARSITY if bench.asked.sparsity is None else bench.asked.sparsity
    steps = steps_of(bench)
    model = bench.fresh()
    kernels = [each for each in model.trainable_variables if len(each.shape) >= 2 and np.prod(each.shape) >= LEAST]
    if not kernels:
        raise UnfitError(f"no kernel of the model has {LEAST} weights or more", hint="take int8")
    masks = [bench.tf.Variable(bench.tf.ones(each.shape), trainable=False) for each in kernels]
    ends = max(int(steps * RISE), 1)
    every = max(ends // TIMES, 1)

    def each(step: int) -> None:
        if step % every == 0 or step == ends:
            share = share_at(wanted, step / ends)
            for kernel, mask in zip(kernels, masks, strict=True):
                mask.assign(mask_of(np.asarray(kernel.value), share))

    def hold() -> None:
        for kernel, mask in zip(kernels, masks, strict=True):
            kernel.assign(kernel * mask)

    tune(bench, model, each=each, before=hold, after=hold)
    return bench.exported(
        "prune", model, sparsity=round(sparsity_of(kernels), 4), asked_sparsity=wanted, epochs=bench.asked.epochs
    )


def share_at(wanted: float, time: float) -> float:
    """The share of zeros at a time from 0 to 1, and what is wanted from then on.

    Examples:
        >>> [round(share_at(0.8, time), 2) for time in (0, 0.25, 0.5, 1, 2)]
        [0.0, 0.46, 0.7, 0.8, 0.8]
    """
    return wanted * (1 - (1 - min(time, 1.0)) ** 3)


def mask_of(kernel: Array, share: float) -> Array:
    """Zero for that share of the weights, the smallest ones, one for all others."""
    mask = np.ones(kernel.size, np.float32)
    mask[np.argsort(np.abs(kernel), axis=None, kind="stable")[: round(share * kernel.size)]] = 0
    return mask.reshape(kernel.shape)


def sparsity_of(kernels: list[Any]) -> float:
    """The share of zeros that there is."""
    zeros = sum(int((np.asarray(each.value) == 0).sum()) for each in kernels)
    return zeros / sum(int(np.prod(each.shape)) for each in kernels)
