from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.contracts.services import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("service"))
    yield made
    made.end()
