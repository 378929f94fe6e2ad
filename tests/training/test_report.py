"""The report shows what happened, for every kind of task, and needs nothing but itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from skylift.artifacts.records import Format, Parity, PublishedModel, RunSpec, now
from training.contract import Data, Input, Split, Task
from training.loop.progress import EpochRow
from training.report.html import Facts, render

RNG = np.random.default_rng(0)
PARITY = Parity(max_abs_difference=1e-7, rows=50, tolerance=1e-4, holds=True)
KINDS = {
    "image": Task(
        "classification",
        "sparse_categorical_crossentropy",
        (Input((8, 8, 1)),),
        ("cat", "dog", "<b>owl</b>"),
        input_kind="image",
    ),
    "colour": Task("binary", "binary_crossentropy", (Input((8, 8, 3), "uint8"),), ("no", "yes"), input_kind="image"),
    "table": Task(
        "regression",
        "mean_squared_error",
        (Input((3,)),),
        metrics=("mean_absolute_error",),
        unit="°C",
        input_kind="tabular",
        input_names=("age", "mass", "height"),
    ),
}


def facts(task: Task) -> Facts:
    inputs = task.inputs[0]
    shape = [size or 1 for size in inputs.shape]
    x = (RNG.random((60, *shape)) * 255).astype(inputs.dtype)
    if task.kind == "regression":
        y, outputs = RNG.normal(size=60), RNG.normal(size=(60, 1)).astype(np.float32)
    elif task.kind == "binary":
        y, outputs = RNG.integers(0, 2, 60), RNG.random((60, 1)).astype(np.float32)
    else:
        y, outputs = RNG.integers(0, 3, 60), RNG.dirichlet([1, 1, 1], 60).astype(np.float32)
    split = Split(x, y)
    names = ("loss", *task.metrics)
    rows = [
        EpochRow(
            epoch=epoch,
            step=10 * epoch,
            seconds=1.0,
            metrics={f"{side}{name}": 1 / epoch for name in names for side in ("", "val_")},
        )
        for epoch in (1, 2, 3)
    ]
    spec = RunSpec(
        id="20260101t000000-abcdef",
        created=now(),
        by="ann & bob",
        stack="local",
        target="local",
        keep="file:///k",
        work="file:///w",
        recipe="mine",
        model="pets",
    )
    return Facts(
        spec=spec,
        attempt=2,
        hyperparameters={"epochs": 3},
        task=task,
        data=Data(split, split, split, {"dropped <rows>": 4}),
        history=rows,
        best_epoch=3,
        metrics=dict.fromkeys(names, 0.5),
        outputs=outputs,
        published=PublishedModel(name="pets", digest="d" * 64, version=7),
        formats={"saved_model": Format(path="saved_model", parity=PARITY)},
        seconds={"training": 2.0},
    )


class Page(HTMLParser):
    """Open tags at the end, and everything that points elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.pictures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.pictures += tag == "img"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(kind: str) -> None:
    text = render(facts(KINDS[kind]))
    page = Page(text)
    assert page.open == []
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert "pets, version 7" in text and "ann &amp; bob" in text
    assert "dropped &lt;rows&gt;" in text


def test_classification_shows_confusion_scores_and_pictures_of_mistakes() -> None:
    text = render(facts(KINDS["image"]))
    assert "Confusion matrix" in text and "By label" in text and "Worst mistakes" in text
    assert Page(text).pictures >= 20
    assert "<b>owl</b>" not in text and "&lt;b&gt;owl&lt;/b&gt;" in text


def test_regression_shows_predicted_against_true_and_the_largest_errors_with_their_columns() -> None:
    text = render(facts(KINDS["table"]))
    assert "Predicted against true" in text and "Largest errors" in text
    assert "true [°C]" in text and "predicted [°C]" in text and re.search(r"age \d+\.?\d*, mass", text)
    assert "Confusion matrix" not in text


def test_colour_pictures_are_shown() -> None:
    assert Page(render(facts(KINDS["colour"]))).pictures > 0


def test_no_mistakes_is_said() -> None:
    perfect: Any = facts(KINDS["image"])
    perfect.outputs[:] = np.eye(3)[perfect.data.test.y]
    assert "every row of the test split is right" in render(perfect)
