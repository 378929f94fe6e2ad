"""Two buckets of files, and what a run and a model need at least."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts.records import ModelManifest, RunResult, RunSpec, Signature, now
from skylift.store import Store, open_store


def open_new(folder: Path) -> Store:
    folder.mkdir()
    return open_store(folder.as_uri())


@pytest.fixture
def keep(tmp_path: Path) -> Store:
    return open_new(tmp_path / "keep")


@pytest.fixture
def work(tmp_path: Path) -> Store:
    return open_new(tmp_path / "work")


@pytest.fixture
def spec(keep: Store, work: Store) -> Callable[..., RunSpec]:
    def make(run_id: str, **fields: Any) -> RunSpec:
        usual: dict[str, Any] = {
            "created": now(), "by": "ada", "stack": "local", "target": "local", "keep": keep.url, "work": work.url,
            "recipe": "mnist", "model": "mnist",
        }  # fmt: skip
        return RunSpec(id=run_id, **(usual | fields))

    return make


@pytest.fixture
def result() -> Callable[..., RunResult]:
    def make(run_id: str, state: str = "succeeded", **fields: Any) -> RunResult:
        return RunResult(**({"id": run_id, "state": state, "started": now(), "ended": now()} | fields))

    return make


@pytest.fixture
def manifest() -> Callable[..., ModelManifest]:
    def make(**fields: Any) -> ModelManifest:
        usual: dict[str, Any] = {
            "name": "", "created": now(), "by": "ada", "signature": Signature(inputs=[], outputs=[]), "formats": {},
            "files": [],
        }  # fmt: skip
        return ModelManifest(**(usual | fields))

    return make


@pytest.fixture
def age() -> Callable[..., None]:
    """Let an object, or all below a folder, be as old as if it had been written `ago`."""

    def make(store: Store, key: str = "", ago: timedelta = timedelta(days=40)) -> None:
        assert store.folder is not None
        moment = (store.clock() - ago).timestamp()
        top = store.folder / key
        for path in [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]:
            os.utime(path, (moment, moment))

    return make
