"""Stacks on the real engine, real training and real serving, through the program `skylift` alone.

Every command is a process of its own, as a user starts it. PULUMI_HOME and every project lie in folders of the test's own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]

RECIPE = '''\
"""Iris flowers from four measurements."""

import os
from dataclasses import dataclass

import numpy as np

from training.contract import Data, Input, Split, Task, setting


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = setting(3, "Times through the data.", minimum=1)
    fault: str = setting("", "What goes wrong.")
    pause: float = setting(0.0, "Seconds to lose when loading.", minimum=0.0)


def task(hp):
    names = ("setosa", "versicolor", "virginica")
    return Task("classification", "sparse_categorical_crossentropy", (Input((4,), "float32", "flower"),),
                metrics=("accuracy",), labels=names, input_kind="tabular",
                input_names=("sepal length", "sepal width", "petal length", "petal width"))


def load(hp, source):
    import time
    from sklearn.datasets import load_iris

    print("the password is", os.environ.get("PASSWORD"), "and the place is", os.environ.get("PLACE"))
    time.sleep(hp.pause)
    if hp.fault == "raises":
        raise ValueError("the flowers have withered")
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype("float32"), y[order].astype("int64")
    return Data(Split(x[:90], y[:90]), Split(x[90:120], y[90:120]), Split(x[120:], y[120:]))


def build(hp, data):
    import keras

    return keras.Sequential([keras.Input((4,), name="flower"), keras.layers.Dense(16, activation="relu"),
                             keras.layers.Dense(3, activation="softmax")])
'''


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A folder with the surroundings of its own, from which `skylift` is called."""

    folder: Path
    surroundings: dict[str, str]

    def begin(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own, as a terminal would."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "skylift.cli", *arguments],
            cwd=self.folder,
            env={**self.surroundings, **changes},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def skylift(self, *arguments: str, code: int | None = 0, stdin: str | None = None) -> Ended:
        """Run a command to its end; `code` None takes any."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "skylift.cli", *arguments],
            cwd=self.folder,
            env=self.surroundings,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Ended(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, code: int = 0) -> Any:
        return self.skylift(*arguments, "--json", code=code).document

    @property
    def work(self) -> Path:
        return self.folder / ".skylift" / "buckets" / "local" / "work"

    @property
    def keep(self) -> Path:
        return self.folder / ".skylift" / "buckets" / "local" / "keep"

    def runs(self) -> list[str]:
        """Run ids, oldest first, as they lie in the bucket."""
        folder = self.keep / "runs"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def kill_training(self, run: str) -> None:
        """kill -9, every process of a run at once: as a machine that loses its power."""
        status = json.loads((self.work / "live" / run / "status.json").read_text())
        leader = psutil.Process(status["pid"])
        for process in [leader, *leader.children(recursive=True)]:
            process.kill()
        wait_for(lambda: not leader.is_running() or leader.status() == psutil.STATUS_ZOMBIE, "the run to be gone")

    def has_stepped(self, run: str) -> bool:
        """Whether a run has told of a step."""
        return any(b'"step"' in path.read_bytes() for path in (self.work / "events" / run).glob("*"))


def wait_for(condition: Callable[[], Any], what: str, limit: float = 60.0) -> Any:
    """Poll until something is so."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {limit} s in vain for {what}")


def interrupt(program: subprocess.Popen[str]) -> Ended:
    """Ctrl-C, and how it ended."""
    os.killpg(program.pid, signal.SIGINT)
    return ending(program)


def ending(program: subprocess.Popen[str], limit: float = 120.0) -> Ended:
    out, err = program.communicate(timeout=limit)
    return Ended(program.returncode, out, err)


@pytest.fixture(scope="session", autouse=True)
def port_8501_is_taken() -> Iterator[None]:
    """So that quickstart and init choose a free port, whatever else runs on this machine."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 8501))
            holder.listen()
        except OSError:
            pass  # somebody has it already
        yield


def make_place(folder: Path, home: Path) -> Place:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "SKYLIFT_"))}
    return Place(folder, {**kept, "PULUMI_HOME": str(home), "COLUMNS": "120"})


def end(place: Place) -> None:
    """Take everything away that a test may have left running."""
    if (place.folder / "Pulumi.yaml").exists():
        place.skylift("down", "local", "--yes", "--delete-data", code=None)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Place]:
    """An empty folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    place = make_place(folder, tmp_path / "home")
    yield place
    end(place)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A stack that is up, for the tests of a module, with a recipe of the user's beside it."""
    base = tmp_path_factory.mktemp("stack")
    folder = base / "project"
    folder.mkdir()
    (folder / "iris.py").write_text(RECIPE)
    place = make_place(folder, base / "home")
    place.skylift("init", "--port", "0")
    place.skylift("up", "--yes")
    yield place
    end(place)
