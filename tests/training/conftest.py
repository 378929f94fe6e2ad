"""A pair of buckets in a temporary folder, runs asked for in them, and the program that does them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.artifacts import layout, runs
from skylift.artifacts.records import Event, RunResult, RunSpec, RunStatus, digest_of, now
from skylift.store import Store, open_store

REPOSITORY = Path(__file__).parents[2]
DEADLINE = 120.0

TINY = '''"""Two clouds of points."""

from dataclasses import dataclass
import os
import numpy as np
from training.contract import Data, Input, Split, Task, setting


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = setting(2, "Epochs.", minimum=1)
    batch_size: int = 8
    fault: str = setting("", choices=("", "raise", "nan", "shape", "crash", "leave", "secret"))


def task(hp):
    return Task("classification", "sparse_categorical_crossentropy", (Input((4,), "float32", "point"),), ("low", "high"))


def load(hp, source):
    if hp.fault == "raise":
        raise ValueError("no such column: petal")
    if hp.fault == "crash":
        os.kill(os.getpid(), 11)
    if hp.fault == "leave":
        os._exit(3)
    if hp.fault == "secret":
        os.write(1, b"token " + os.environ["API_TOKEN"].encode() + b" ends\\n")
        raise ValueError("refused " + os.environ["API_TOKEN"] + " by the server in " + os.environ["REGION"])
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 400)
    x = (rng.normal(size=(400, 4)) + y[:, None]).astype("float32")
    if source is not None:
        x = np.load(source / "points.npy")
    cut = lambda a, b: Split(x[a:b], y[a:b])
    return Data(cut(0, 300), cut(300, 350), cut(350, 400), {"source": "made here" if source is None else source.name})


def build(hp, data):
    import keras
    scale = 1e30 if hp.fault == "nan" else 1.0
    return keras.Sequential([
        keras.Input((4,), name="point"),
        keras.layers.Rescaling(scale),
        keras.layers.Rescaling(scale),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(3 if hp.fault == "shape" else 2, activation="softmax"),
    ])
'''


@dataclass
class Bench:
    """Runs in two buckets of their own. Everything that it starts it ends."""

    folder: Path
    recipe: str = TINY
    keep: Store = field(init=False)
    work: Store = field(init=False)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("keep", "work", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        self.keep = open_store(f"file://{self.folder / 'keep'}")
        self.work = open_store(f"file://{self.folder / 'work'}")

    def code(self, files: Mapping[str, str]) -> str:
        """A user's code in the keep bucket; its digest."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        digest = digest_of(packed.getvalue())
        self.keep.put(layout.code(digest), packed.getvalue())
        return digest

    def ask(
        self, recipe: str = "tiny", *, code: str | None = None, hp: dict[str, Any] | None = None, **more: Any
    ) -> str:
        """Write a run.json; the run's id."""
        if code is None and recipe == "tiny":
            code = self.code({"tiny.py": self.recipe})
        spec = RunSpec(
            id=runs.next_run_id(self.keep, datetime.now(UTC)),
            created=now(),
            by="tester",
            stack="local",
            target="local",
            keep=self.keep.url,
            work=more.pop("work", self.work.url),
            recipe=recipe,
            code=code,
            hyperparameters=hp or {},
            model=more.pop("model", "points"),
            **more,
        )
        runs.create_run(self.keep, spec)
        return spec.id

    def start(self, run: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "training", "run", "--run", f"{self.keep.url}/runs/{run}"],
            env={**os.environ, "TMPDIR": str(self.folder / "tmp"), **(environment or {})},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        return process

    def run(self, run: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Do a run to its end: exit code and output."""
        process = self.start(run, environment)
        printed, _ = process.communicate(timeout=DEADLINE)
        return process.returncode, printed.decode()

    def result(self, run: str) -> RunResult | None:
        return runs.read_result(self.keep, run)

    def status(self, run: str) -> RunStatus:
        status = runs.read_status(self.work, run)
        assert status is not None
        return status

    def log(self, run: str) -> str:
        return b"".join(self.work.get(stat.key).data for stat in self.work.list(layout.logs(run))).decode()

    def events(self, run: str) -> list[Event]:
        lines = b"".join(self.work.get(stat.key).data for stat in self.work.list(layout.events(run))).splitlines()
        return [msgspec.json.decode(line, type=Event) for line in lines]

    def saved_steps(self, run: str) -> list[int]:
        """The steps that have a whole checkpoint."""
        folders = self.work.folders(layout.checkpoints(run))
        return [int(each) for each in folders if self.work.stat(f"{layout.checkpoints(run)}/{each}/manifest.json")]

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Poll until the condition holds."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("it did not come to pass in time")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def frameworks() -> tuple[Any, Any]:
    """TensorFlow and Keras in this process, seeded anew for each file."""
    from training.loop import backend

    return backend.start(0)
