"""SHAP (Lundberg and Lee 2017, https://arxiv.org/abs/1705.07874) by the package shap: how one row's columns part it from the usual.

Of up to ten columns exact; of more, estimated by permutations, which add up by construction. Columns are taken for independent.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from skylift.errors import MachineError
from training.contract import Array

BACKGROUND = 100
"""Rows of the training split that stand for the usual."""
EXACT = 10
ROUNDS = 10
TOLERANCE = 1e-3


def import_shap() -> Any:
    """The package shap, which takes seconds.

    Raises:
        MachineError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numba and of colour maps, which are not used here
            return importlib.import_module("shap")
    except ImportError as error:
        raise MachineError(
            f"shap cannot be imported: {error}", hint="install it: `pip install 'skylift[explain]'`"
        ) from None


def shapley(number: Callable[[Array], Array], row: Array, usual: Array, seed: int) -> tuple[Array, float]:
    """The share of each column `[columns]`, and the mean of what the model gives for the usual rows.

    Args:
        number: the explained number `[rows]` for rows `[rows, columns]`.
        row: `[columns]`.
        usual: `[rows, columns]`.
    """
    shap = import_shap()
    masker = shap.maskers.Independent(usual, max_samples=len(usual))
    width = len(row)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if width <= EXACT:
            found = shap.explainers.Exact(number, masker)(row[None], silent=True)
        else:
            explainer = shap.explainers.Permutation(number, masker, seed=seed)
            found = explainer(row[None], max_evals=(2 * width + 1) * ROUNDS, silent=True)
    return np.asarray(found.values, np.float64)[0], float(np.ravel(found.base_values)[0])
