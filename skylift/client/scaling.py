"""How a recipe's training goes with the number of workers, as the training program measures it on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skylift.artifacts import datasets
from skylift.client.training import Request, named_dataset, understand
from skylift.errors import InputError
from skylift.launch.asking import ask_training_aloud

if TYPE_CHECKING:
    from skylift.client.stack import Stack


@dataclass(frozen=True)
class Measuring:
    """What to measure, and how long.

    Args:
        workers: how many, as text: `1,2,4`.
        seconds: of each measurement; `steps`, where it is not 0, instead.
        gigabits: bandwidth of the network to predict for [Gbit/s]; 0 takes what is measured between processes of this machine.
    """

    workers: str = "1,2"
    seconds: float = 5.0
    steps: int = 0
    gigabits: float = 0.0
    html: Path | None = None


def measure(
    stack: Stack | None, asked: Request, how: Measuring, progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """The report: `points` by number of workers, measured and predicted, and where the prediction comes from. Starts no run.

    Args:
        stack: where datasets are; None where none is asked for by name.

    Raises:
        NotFoundError: no such recipe or dataset.
        InputError: hyperparameters, numbers of workers or the data do not fit.
        MachineError: a group could not start or did not end.
    """
    read = understand(asked)
    recipe = read.packed.module if read.packed is not None else read.recipe.name
    arguments = ["scaling", recipe, f"--workers={how.workers}", f"--seconds={how.seconds}", f"--steps={how.steps}"]
    arguments += [f"--gigabits={how.gigabits}", f"--hyperparameters={json.dumps(read.values)}"]
    if read.packed is not None:
        arguments.append(f"--code-root={read.packed.root}")
    if how.html is not None:
        arguments.append(f"--html={how.html}")
    found: dict[str, Any] = ask_training_aloud([*arguments, *_data(stack, asked)], progress)
    return found


def _data(stack: Stack | None, asked: Request) -> list[str]:
    if asked.data is None:
        return []
    name = named_dataset(asked.data)
    if name is not None and stack is not None:
        return [f"--dataset={datasets.resolve(stack.keep, name)}", f"--keep={stack.keep.url}"]
    folder = Path(asked.data)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="--data takes a folder of files, or a dataset's name")
    return [f"--data={folder.resolve()}"]
