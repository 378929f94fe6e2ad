"""The profile of a dataset: one HTML file that needs nothing else, in light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts.texts import text_of
from training.contract import Array, Input, Split, Task
from training.data.description import Prepared
from training.data.fingerprint import Sample
from training.data.format import ColumnInfo, Description
from training.data.schema import ColumnPlan
from training.data.splitting import splits_of
from training.report import pictures
from training.report.pages import page

BINS = 24
SHOWN_LABELS = 40
SHOWN_COLUMNS = 120
SAMPLES = 12
PICTURES = 40


@dataclass(frozen=True)
class Bar:
    """A bar: `share` of the longest one [%]."""

    label: str
    count: int
    share: float


@dataclass(frozen=True)
class Card:
    """A column with its distribution in the sample."""

    name: str
    kind: str
    facts: list[tuple[str, str]]
    bars: list[Bar]
    is_histogram: bool


def render(name: str, made: Prepared, described: Description) -> str:
    """The whole page."""
    cards = [_card(plan, made, info) for plan, info in zip(made.schema.columns, described.columns, strict=True)]
    drawn = [card for card in cards if card.bars]
    shown = drawn[:SHOWN_COLUMNS]
    return page(
        "profile.html.j2",
        Path(__file__).parent,
        name=name,
        d=described,
        cleaning=described.cleaning,
        cleaned=[
            each for each in described.cleaning.columns if each.missing or each.wrong or each.outliers or each.cut
        ],
        balance=_balance(described),
        target=_target(made) if described.target.task == "regression" else None,
        cards=shown,
        more=len(drawn) - len(shown),
        pictures=_pictures(made),
        samples=_samples(made, described),
        sampled=len(made.sample.keys),
    )


def _bars(counts: list[tuple[str, int]]) -> list[Bar]:
    most = max((count for _, count in counts), default=0) or 1
    return [Bar(label, count, 100 * count / most) for label, count in counts]


def _balance(described: Description) -> list[dict[str, Any]]:
    """By label its rows in each split, and its share of all."""
    splits = list(described.splits.values())
    total = sum(split.rows for split in splits)
    rows = [[split.classes[at] for split in splits] for at in range(len(described.target.labels))]
    most = max((sum(row) for row in rows), default=1) or 1
    return [
        {"label": label, "rows": row, "share": 100 * sum(row) / total, "bar": 100 * sum(row) / most}
        for label, row in zip(described.target.labels[:SHOWN_LABELS], rows, strict=False)
    ]


def histogram(values: Array) -> list[Bar]:
    """Counts of equally wide ranges; few different whole numbers are counted one by one."""
    values = values[np.isfinite(values)]
    if not len(values):
        return []
    known, counts = np.unique(values, return_counts=True)
    if len(known) <= BINS:
        return _bars([(f"{value:.6g}", int(count)) for value, count in zip(known, counts, strict=True)])
    counts, edges = np.histogram(values, BINS)
    return _bars([(f"{low:.4g} to {high:.4g}", int(n)) for n, low, high in zip(counts, edges, edges[1:], strict=False)])


def _target(made: Prepared) -> list[Bar]:
    return histogram(made.sample.target if made.sample.target is not None else np.empty(0))


def _card(plan: ColumnPlan, made: Prepared, info: ColumnInfo) -> Card:
    sample, normal = made.sample, info.normalisation
    facts = [("kind", plan.kind + (f" {' × '.join(map(str, plan.shape))} {info.dtype}" if plan.shape else ""))]
    if normal.mean:
        said = {
            "mean": normal.mean,
            "deviation": normal.deviation,
            "minimum": normal.minimum,
            "maximum": normal.maximum,
        }
        facts += [(word, ", ".join(f"{value:.5g}" for value in values)) for word, values in said.items()]
    if plan.kind == "number" and sample.numbers is not None:
        index = [each.name for each in made.schema.of("number")].index(plan.name)
        return Card(plan.name, plan.kind, facts, histogram(sample.numbers[:, index]), True)
    if plan.kind == "category":
        values = made.seen.columns[plan.name].values or {}
        common = sorted(values.items(), key=lambda item: (-item[1], item[0]))
        facts += [("values", f"{len(values)}, of which {len(info.vocabulary)} in the training split")]
        return Card(plan.name, plan.kind, facts, _bars(common[:12]), False)
    tensor = sample.tensors.get(plan.name)
    if plan.kind == "tensor" and tensor is not None:
        return Card(plan.name, plan.kind, facts, histogram(tensor.reshape(-1).astype(np.float64)), True)
    return Card(plan.name, plan.kind, facts, [], False)


def _label(sample: Sample, row: int, made: Prepared) -> str:
    assert sample.target is not None
    value = sample.target[row]
    return made.schema.labels[int(value)] if made.schema.labels else f"{value:.5g}"


def _split_names(made: Prepared) -> list[str]:
    places = splits_of(made.sample.strata, made.sample.highs, made.learned.cuts)
    return [("train", "validation", "test")[place] if place >= 0 else "dropped" for place in places.tolist()]


def _pictures(made: Prepared) -> list[dict[str, str]]:
    """Images of the sample with their labels."""
    plan = next((each for each in made.schema.columns if _is_picture(each)), None)
    if plan is None:
        return []
    images = made.sample.tensors[plan.name][:PICTURES]
    split = Split(images, np.zeros(len(images)))
    task = Task(
        "regression", "mean_squared_error", (Input(tuple(plan.shape), plan.dtype, plan.name),), input_kind="image"
    )
    names = _split_names(made)
    return [
        {"url": pictures.picture(split, task, row), "label": _label(made.sample, row, made), "split": names[row]}
        for row in range(len(images))
    ]


def _is_picture(plan: ColumnPlan) -> bool:
    return plan.kind == "image" or (plan.kind == "tensor" and len(plan.shape) == 3 and plan.shape[2] in (1, 3, 4))


def _samples(made: Prepared, described: Description) -> list[list[str]]:
    """A few rows as they were read, target and split first."""
    sample, names = made.sample, _split_names(made)
    numbers = {plan.name: index for index, plan in enumerate(made.schema.of("number"))}
    rows = []
    for row in range(min(SAMPLES, len(sample.keys))):
        cells = [names[row], _label(sample, row, made)]
        for plan in made.schema.columns[:8]:
            cells.append(_cell(plan, sample, row, numbers))
        rows.append(cells)
    return [["split", described.target.name, *(plan.name for plan in made.schema.columns[:8])], *rows] if rows else []


def _cell(plan: ColumnPlan, sample: Sample, row: int, numbers: dict[str, int]) -> str:
    if plan.kind == "number" and sample.numbers is not None:
        value = sample.numbers[row, numbers[plan.name]]
        return "–" if np.isnan(value) else f"{value:.5g}"
    if plan.kind == "category":
        code = int(sample.codes[plan.name][row])
        return plan.values[code] if code >= 0 else "–"
    if plan.kind == "text":
        text = text_of(sample.tensors[plan.name][row].tobytes())
        return text[:160] + ("…" if len(text) > 160 else "")
    return " × ".join(map(str, plan.shape))
