"""The contract over files, and over obstore's memory store, which has the conditional verbs that clouds have and files lack."""

from __future__ import annotations

from pathlib import Path

import pytest
from obstore.store import MemoryStore

from skylift.store import Store, open_store
from tests.store.contract import RaceContract, StoreContract


class TestFiles(StoreContract, RaceContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        (tmp_path / "bucket").mkdir()
        return f"file://{tmp_path}/bucket"

    @pytest.fixture
    def store(self, url: str) -> Store:
        return open_store(url)


class TestConditionalVerbs(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return Store("memory://", MemoryStore(), None)
