"""A bucket that stops answering in the middle of a run, and a checkpoint of another model."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.store import open_store
from tests.store.simulated_s3 import simulated_s3

pytestmark = pytest.mark.slow

LONG = {"epochs": 60, "checkpoint_seconds": 0.1, "steps_per_call": 3}


def test_a_bucket_that_fails_halfway_leaves_the_last_checkpoint_and_the_run_goes_on(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated_s3() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        bench.work = open_store("s3://work")
        run = bench.ask(hp=LONG)
        process = bench.start(run)
        bench.wait_for(lambda: bench.saved_steps(run))
        s3.broken = True
        printed = process.communicate(timeout=100)[0].decode()
        assert process.returncode == 11, printed
        assert "500 Internal Server Error" in printed and "Traceback" not in printed
        assert bench.result(run) is None
        s3.broken = False
        saved = bench.saved_steps(run)
        assert saved
        code, printed = bench.run(run)
        assert code == 0, printed
        assert f"resumed from step {max(saved)}" in printed
        assert bench.result(run).epochs == 60


def test_a_checkpoint_of_another_model_is_refused_and_stays(bench: Any) -> None:
    first = bench.ask(hp={"epochs": 1})
    assert bench.run(first)[0] == 0
    saved = {stat.key: stat.token for stat in bench.work.list(f"checkpoints/{first}")}
    wider = bench.code({"tiny.py": bench.recipe.replace("Dense(8", "Dense(9")})
    following = bench.ask(code=wider, resumed_from=first)
    code, printed = bench.run(following)
    failure = bench.result(following).failure
    assert code == 9 and "Traceback" not in printed
    assert f"of run {first} does not fit the model: it was saved from another one" in failure.message
    assert "resume with the recipe and hyperparameters that it was saved with" in failure.hint
    assert {stat.key: stat.token for stat in bench.work.list(f"checkpoints/{first}")} == saved != {}
