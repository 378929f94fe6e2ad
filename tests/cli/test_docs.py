"""The pages that tell what the commands do are what the commands do."""

from __future__ import annotations

import re

import pytest

from skylift import errors
from skylift.cli import _errors
from tests import generate_docs

PAGES = generate_docs.pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_generated_page_is_current(path):
    assert path.read_text(encoding="utf-8") == PAGES[path], "run `python -m tests.generate_docs`"


def test_exit_codes_are_those_of_the_errors():
    page = (generate_docs.DOCS / "exit-codes.md").read_text(encoding="utf-8")
    told = {(kind, int(code)) for code, kind in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SkyliftError)]
    others = {("usage", 2), ("declined", _errors.DECLINED), ("interrupted", _errors.INTERRUPTED)}
    assert told == {(kind.kind, kind.exit_code) for kind in kinds} | others


def test_the_tree_in_the_errors_module_is_true():
    assert errors.__doc__ is not None
    drawn = {name: int(code) for name, code in re.findall(r"(\w+Error)\s+(\d+)\s", errors.__doc__)}
    assert drawn == {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.SkyliftError)
    }
