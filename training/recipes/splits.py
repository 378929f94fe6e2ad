"""Rows shared out to train, validation and test, for recipes whose rows do not follow each other in time."""

from __future__ import annotations

import numpy as np

from training.contract import Array


def stratified(classes: Array, validation_share: float, test_share: float, seed: int) -> tuple[Array, Array, Array]:
    """Row numbers of train, validation and test, each with the same share of every class; the same for the same seed."""
    order = np.random.default_rng(seed)
    none = np.empty(0, np.int64)
    train, validation, test = [none], [none], [none]
    for one in np.unique(classes):
        rows = order.permutation(np.flatnonzero(classes == one))
        tested = round(len(rows) * test_share)
        validated = tested + round(len(rows) * validation_share)
        test.append(rows[:tested])
        validation.append(rows[tested:validated])
        train.append(rows[validated:])
    return np.concatenate(train), np.concatenate(validation), np.concatenate(test)
