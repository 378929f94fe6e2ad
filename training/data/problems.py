"""What is wrong with a source: everything at once, each with its file, row, column and fix."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skylift.errors import InputError

SHOWN = 12
"""Most problems that an error's message spells out; `details` has all that were kept."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must be mended. `row` counts from 1, the header not included."""

    what: str
    fix: str = ""
    file: str = ""
    row: int | None = None
    column: str = ""

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file,
                f"row {self.row}" if self.row is not None else "",
                f"column {self.column}" if self.column else "",
            )
            if part
        )
        return f"{place}: {self.what}" if place else self.what


class BrokenError(Exception):
    """A file cannot be read on; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def refusal(source: str, problems: Iterable[Problem]) -> InputError:
    """The error that names all of them."""
    found = list(dict.fromkeys(problems))
    texts = [str(problem) for problem in found[:SHOWN]]
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    fixes = list(dict.fromkeys(problem.fix for problem in found if problem.fix))
    return InputError(
        f"{source} cannot become a dataset: {'; '.join(texts)}{more}",
        hint="; ".join(fixes[:SHOWN]),
        details={"source": source, "problems": [msgspec.to_builtins(problem) for problem in found]},
    )
