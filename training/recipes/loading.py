"""Finds a recipe, imports it and checks the contract: everything that is wrong with it comes in one RecipeError."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from skylift.errors import RecipeError, SkyliftError, not_found
from training.cluster.losing import is_loss
from training.contract import NAMES, Data, Task
from training.recipes.hyperparameters import problems_of

BUNDLED: tuple[str, ...] = ("mnist", "resnet", "tabular", "sequence", "text")

_CALLS: dict[str, int] = {"load": 2, "build": 2, "task": 1}
"""Positional arguments that the loop hands to each function of a recipe."""

M = TypeVar("M", Task, Data)

CONTRACT_HINT = (
    "a recipe is one module with Hyperparameters, load(hp, source), build(hp, data) and task(hp); see docs/recipes.md"
)


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe that keeps the contract. Its functions raise RecipeError where the recipe's own code raises."""

    name: str
    module: ModuleType

    @property
    def hyperparameters(self) -> type[Any]:
        kind: type[Any] = self.module.Hyperparameters
        return kind

    @property
    def summary(self) -> str:
        lines = (self.module.__doc__ or "").strip().splitlines()
        return lines[0].strip() if lines else ""

    def task(self, hp: Any) -> Task:
        return _of_type(self._call("task", hp), Task, self.name, "task")

    def load(self, hp: Any, source: Path | None) -> Data:
        return _of_type(self._call("load", hp, source), Data, self.name, "load")

    def build(self, hp: Any, data: Data) -> Any:
        return self._call("build", hp, data)

    def _call(self, function: str, *arguments: Any) -> Any:
        with blamed(self.name, function):
            return getattr(self.module, function)(*arguments)


def bundled(name: str) -> LoadedRecipe:
    """A recipe that comes with skylift.

    Raises:
        NotFoundError: there is none of that name.
    """
    if name not in BUNDLED:
        raise not_found("recipe", name, BUNDLED, hint="`skylift train --recipe path/to/file.py` takes one of your own")
    return checked(name, importlib.import_module(f"training.recipes.{name}"))


def from_code(root: Path, module: str) -> LoadedRecipe:
    """The recipe `module` below the folder `root`, which goes to the end of sys.path: it shadows nothing of ours."""
    folder = str(root.resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    _refuse_taken(root.resolve(), module)
    try:
        loaded = importlib.import_module(module)
    except SyntaxError as error:
        where = f"{_name_of(error.filename)}, line {error.lineno}"
        raise RecipeError(
            f"recipe {module!r} is no valid Python: {error.msg} ({where})", hint="mend that line"
        ) from None
    except ModuleNotFoundError as error:
        if error.name == module or module.startswith(f"{error.name}."):
            raise RecipeError(
                f"there is no module {module!r} in {root}",
                hint="name a file that exists, without `.py`, dots between folders",
            ) from None
        traceback.print_exc()
        raise RecipeError(
            f"recipe {module!r} imports {error.name!r}, which is not installed",
            hint=f"install it (`uv add {str(error.name).partition('.')[0]}`), or put the module beside the recipe",
        ) from None
    except (Exception, SystemExit) as error:
        raise _blame(module, "its import", error) from None
    return checked(module, loaded)


def checked(name: str, module: ModuleType) -> LoadedRecipe:
    """The module as a recipe.

    Raises:
        RecipeError: with everything that it lacks or has wrong.
    """
    wrong = [f"has no {missing}" for missing in NAMES if not hasattr(module, missing)]
    wrong += [_call_problem(module, function, count) for function, count in _CALLS.items() if hasattr(module, function)]
    if hasattr(module, "Hyperparameters"):
        wrong += problems_of(module.Hyperparameters)
    found = [problem for problem in wrong if problem]
    if found:
        raise RecipeError(
            f"recipe {name!r} breaks the contract: " + "; ".join(found),
            hint=CONTRACT_HINT,
            details={"recipe": name, "problems": found},
        )
    return LoadedRecipe(name, module)


@contextmanager
def blamed(recipe: str, where: str) -> Iterator[None]:
    """What the recipe's code raises inside becomes a RecipeError; its traceback goes to stderr, which is the run's log."""
    try:
        yield
    except SkyliftError:
        raise
    except (Exception, SystemExit) as error:
        if is_loss(error):
            raise
        raise _blame(recipe, where, error) from None


LONGEST_LINE = 400


def last_line(error: BaseException) -> str:
    """How the error's traceback ends: `ValueError: no such column`. Of a message of many lines, the first says what is wrong."""
    message = getattr(error, "message", None)
    if type(error).__module__.startswith("tensorflow") and isinstance(message, str) and message.strip():
        return f"{type(error).__name__}: {message.strip().splitlines()[0]}"
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    line = lines[-1] if isinstance(error, SyntaxError) else lines[0]
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} …"


def _blame(recipe: str, where: str, error: BaseException) -> RecipeError:
    traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({_name_of(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return RecipeError(
        f"recipe {recipe!r}: {where} raised {last_line(error)}{place}",
        hint="the whole traceback is in the run's log: `skylift logs RUN`",
        details={"recipe": recipe, "where": where, "error": last_line(error)},
    )


def _name_of(filename: str | None) -> str:
    return Path(filename).name if filename else "?"


def _refuse_taken(root: Path, module: str) -> None:
    """An installed module of the same name would be imported in place of the user's."""
    top = module.partition(".")[0]
    if not ((root / top).is_dir() or (root / f"{top}.py").is_file()):
        return
    loaded = sys.modules.get(top)
    found = getattr(loaded, "__spec__", None) if loaded else importlib.util.find_spec(top)
    places = (
        [getattr(found, "origin", None), *(getattr(found, "submodule_search_locations", None) or ())] if found else []
    )
    if not any(place and Path(place).resolve().is_relative_to(root) for place in places):
        raise RecipeError(
            f"the recipe's module {top!r} has the name of an installed one, which Python imports in its place",
            hint="rename your file or folder",
        )


def _call_problem(module: ModuleType, function: str, count: int) -> str:
    value = getattr(module, function)
    if not callable(value):
        return f"{function} is no function"
    try:
        inspect.signature(value).bind(*[None] * count)
    except TypeError:
        takes = {"load": "load(hp, source)", "build": "build(hp, data)", "task": "task(hp)"}[function]
        return f"{function} cannot be called as {takes}"
    return ""


def _of_type(made: Any, kind: type[M], recipe: str, function: str) -> M:
    if not isinstance(made, kind):
        raise RecipeError(
            f"recipe {recipe!r}: {function} returned {type(made).__name__}, not a training.contract.{kind.__name__}",
            hint=CONTRACT_HINT,
        )
    return made
