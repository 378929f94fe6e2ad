"""`skylift optimize` as people see it; what it shows comes from tests/training/test_optimize.py's program."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from skylift.artifacts.optimized import Choice, Form, Optimized, Skipped
from skylift.artifacts.records import PublishedModel
from skylift.cli import optimize
from skylift.cli._group import cli
from skylift.client import optimizing
from skylift.errors import RunFailedError

ROWS = [
    Form("original", "ONNX Runtime", "onnx", 904_369, 834_865, 0.975, 0.0, 0.05, 1.0, "original"),
    Form("channels", "ONNX Runtime", "onnx", 231_476, 211_681, 0.922, 0.053, 0.02, 0.4, "refused", {"epochs": 2}),
]


def result(**more: Any) -> Optimized:
    skipped = [Skipped("qat", "the model has no convolution or dense layer", "take int8")]
    choice = Choice(None, "Keep the original: no form loses little enough.")
    return Optimized("digits:1", "accuracy", 0.01, 1000, ROWS, skipped, [], choice, "x86_64", **more)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command asked for; the first element is what it gets."""
    told: list[Any] = [result()]

    def answer(stack: Any, model: str, how: Any, progress: Any) -> Optimized:
        told.append((model, how))
        progress(1, 3, "channels")
        return told[0]  # type: ignore[no-any-return]

    monkeypatch.setattr(optimizing, "optimize", answer)
    monkeypatch.setattr(optimize, "open_stack", lambda ctx, stack: SimpleNamespace())
    return told


def test_the_table_shows_what_was_refused_and_what_could_not_be(asked: list[Any]) -> None:
    done = CliRunner().invoke(
        cli, ["optimize", "digits", "--method", "channels", "--method", "qat", "--sparsity", "0.9"]
    )
    assert done.exit_code == 0, done.output
    for text in (
        "883.2 KiB",
        "0.922  +0.0530",
        "refused",
        "epochs 2",
        "no qat: the model has no convolution",
        "Keep the original",
    ):
        assert text in done.output
    model, how = asked[1]
    assert model == "digits" and how.methods == ("channels", "qat") and how.sparsity == 0.9 and how.publish == "none"


def test_nobody_publishes_without_being_asked_and_a_refusal_is_exit_code_9(asked: list[Any]) -> None:
    unasked = CliRunner().invoke(cli, ["optimize", "digits", "--publish", "channels"])
    assert unasked.exit_code == 2 and "--yes" in unasked.output and len(asked) == 1
    asked[0] = result(failure="channels is not published: it loses 0.053 of accuracy, more than --max-loss 0.01")
    command = ["optimize", "digits", "--publish", "channels", "--yes"]
    refused = CliRunner().invoke(cli, command, standalone_mode=False)
    assert getattr(refused.exception, "exit_code", None) == 9 and "it loses 0.053" in str(refused.exception)
    assert "883.2 KiB" in refused.output  # the table all the same
    as_json = CliRunner().invoke(cli, [*command, "--json"], standalone_mode=False)
    assert as_json.output == "" and isinstance(as_json.exception, RunFailedError)
    assert as_json.exception.details["result"]["rows"][1]["loss"] == 0.053


def test_what_was_published_is_named_with_the_next_step(asked: list[Any]) -> None:
    published = PublishedModel(name="digits", digest="0" * 64, version=2)
    asked[0] = result(published=published, published_method="int8")
    done = CliRunner().invoke(cli, ["optimize", "digits", "--publish", "best", "--yes"])
    assert "digits:2 is published: int8" in done.output and "skylift deploy digits:2" in done.output
    as_json = CliRunner().invoke(cli, ["optimize", "digits", "--publish", "best", "--yes", "--json"])
    assert json.loads(as_json.output)["published"]["version"] == 2
    for wrong in (["--method", "int9"], ["--sparsity", "1"], ["--epochs", "0"], ["--max-loss", "-1"]):
        assert CliRunner().invoke(cli, ["optimize", "digits", *wrong]).exit_code == 2
