"""Published models opened again, as those who optimise, cut and explain them need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.artifacts import models
from skylift.errors import InputError
from training.export import running
from training.importing.add import add
from training.importing.meaning import Meaning
from training.published import open_published, some_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]


def test_a_users_model_is_built_by_its_recipe_again_and_computes_what_was_published(
    bench: Any, frameworks: Any, tmp_path: Path
) -> None:
    tf, keras = frameworks
    code = bench.code({"elsewhere/__init__.py": "", "elsewhere/points.py": bench.recipe})
    run = bench.ask("elsewhere.points", code=code, hp={"epochs": 1})
    assert bench.run(run)[0] == 0
    opened = open_published(bench.keep, "points", tmp_path)
    assert opened.name == "points:1" and opened.manifest.run == run and opened.data is not None
    rows = some_rows(opened, 16)
    kept = running.saved_model_runner(tf, opened.folder / "saved_model")(rows)["probabilities"]
    assert np.abs(np.asarray(opened.model(rows["point"])) - kept).max() < 1e-6
    assert opened.rebuild is not None and opened.rebuild().count_params() == opened.model.count_params()
    alone = keras.models.load_model(opened.folder / "model.keras")
    assert np.abs(np.asarray(alone(rows["point"])) - kept).max() < 1e-6


def test_a_keras_file_made_elsewhere_opens_without_data_and_a_saved_model_says_what_is_missing(
    bench: Any, frameworks: Any, tmp_path: Path
) -> None:
    _, keras = frameworks
    model = keras.Sequential([keras.Input((4,), name="point"), keras.layers.Dense(2, activation="softmax")])
    model.save(tmp_path / "made.keras")
    add(tmp_path / "made.keras", bench.keep.url, "made", "somebody", Meaning(("a", "b"), "", False))
    opened = open_published(bench.keep, "made", tmp_path / "one")
    assert opened.task.labels == ("a", "b") and opened.model.count_params() == model.count_params()
    with pytest.raises(InputError, match="made:1 was made elsewhere: there is no data to judge it by"):
        opened.need_data("to judge it by")
    model.export(tmp_path / "exported", verbose=False)
    add(tmp_path / "exported", bench.keep.url, "foreign", "somebody", Meaning((), "", False))
    with pytest.raises(
        InputError, match=r"foreign:1 was made elsewhere and has no Keras model, only onnx, saved_model"
    ):
        open_published(bench.keep, "foreign", tmp_path / "two")
    assert models.list_models(bench.keep) == ["foreign", "made"]
