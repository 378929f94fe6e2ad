"""What every store must do. A subclass gives the fixture `store`, and `url` where a second process can open the same store.

Run it over a cloud by subclassing StoreContract and RaceContract with fixtures that open an empty bucket.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest

from skylift.errors import InputError
from skylift.store import (
    CHUNK,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    Store,
)
from tests.store.racing import race

BIG = CHUNK * 2 + 12_345
"""Bytes that need several steps of a stream."""


class StoreContract:
    """The verbs, one caller at a time."""

    # create, put, get

    def test_create_never_overwrites(self, store: Store) -> None:
        store.create("a/b.json", b"first")
        with pytest.raises(ObjectExistsError):
            store.create("a/b.json", b"second")
        assert store.get("a/b.json").data == b"first"

    def test_put_overwrites(self, store: Store) -> None:
        store.put("a", b"first")
        store.put("a", b"second, and longer")
        assert store.get("a").data == b"second, and longer"

    def test_an_empty_object_is_an_object(self, store: Store) -> None:
        store.create("empty", b"")
        assert store.get("empty").data == b""
        assert store.read_range("empty", 0, 10) == b""
        assert list(store.stream("empty")) == []

    def test_what_is_not_there_is_named(self, store: Store) -> None:
        for read in (store.get, lambda key: store.get_if_changed(key, None), lambda key: list(store.stream(key))):
            with pytest.raises(ObjectNotFoundError, match="nowhere/at/all"):
                read("nowhere/at/all")
        assert store.stat("nowhere/at/all") is None

    def test_get_if_changed(self, store: Store) -> None:
        store.put("a", b"1")
        token = store.get("a").token
        assert store.get_if_changed("a", token) is None
        store.replace("a", b"2", token)
        changed = store.get_if_changed("a", token)
        assert changed is not None and changed.data == b"2"
        assert store.get_if_changed("a", changed.token) is None

    @pytest.mark.parametrize(
        "key", ["models/ü x/größe (1).txt", "a/b c/d+e=f&g.bin", "p%41", "a/.hidden", "x#y", "~/'q'"]
    )
    def test_any_usual_file_name_is_a_key(self, store: Store, tmp_path: Path, key: str) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"2")
        store.create(key, b"1")
        store.replace(key, b"2", store.get(key).token)
        store.upload(source, f"up/{key}")
        assert store.get(key).data == store.get(f"up/{key}").data == b"2"
        assert [stat.key for stat in store.list()] == sorted([key, f"up/{key}"])

    # replace

    def test_replace_needs_the_state_that_was_read(self, store: Store) -> None:
        old = store.create("a", b"1")
        new = store.replace("a", b"2", old)
        with pytest.raises(ObjectChangedError):
            store.replace("a", b"3", old)
        assert store.get("a").data == b"2"
        store.replace("a", b"4", new)
        assert store.get("a").data == b"4"

    def test_replace_after_an_unconditional_write(self, store: Store) -> None:
        old = store.create("a", b"1")
        store.put("a", b"somebody else's")
        with pytest.raises(ObjectChangedError):
            store.replace("a", b"2", old)

    def test_replace_does_not_bring_back_what_was_removed(self, store: Store) -> None:
        old = store.create("a", b"1")
        store.delete(["a"])
        with pytest.raises(ObjectChangedError):
            store.replace("a", b"2", old)
        assert store.stat("a") is None

    def test_equal_bytes_get_another_token_each_time(self, store: Store) -> None:
        token = store.create("a", b"same")
        seen = [token]
        for _ in range(300):
            token = store.replace("a", b"same", token)
            seen.append(token)
        assert len(set(seen)) == len(seen)

    def test_read_tokens_equal_written_tokens(self, store: Store) -> None:
        token = store.create("a", b"1")
        stat = store.stat("a")
        assert stat is not None
        assert token.e_tag == store.get("a").token.e_tag == stat.token.e_tag == next(iter(store.list())).token.e_tag

    # looking

    def test_list_is_in_order_and_starts_behind_a_key(self, store: Store) -> None:
        keys = ["r/2/b", "r/1/a", "r/10/z", "r/2/a", "rr/1", "q"]
        for key in keys:
            store.put(key, key.encode())
        assert [stat.key for stat in store.list("r")] == ["r/1/a", "r/10/z", "r/2/a", "r/2/b"]
        assert [stat.key for stat in store.list("r", after="r/10/z")] == ["r/2/a", "r/2/b"]
        assert [stat.key for stat in store.list("r", after="r/10/~")] == ["r/2/a", "r/2/b"]
        assert [stat.key for stat in store.list()] == sorted(keys)
        assert [stat.size for stat in store.list("r/1")] == [5]
        assert list(store.list("nowhere")) == []

    def test_folders_and_names_look_one_level_deep(self, store: Store) -> None:
        for key in ("m/b/1", "m/a/2", "m/a/x/3", "m/file", "m/also"):
            store.put(key, b"x")
        assert list(store.folders("m")) == ["a", "b"]
        assert [stat.key for stat in store.names("m")] == ["m/also", "m/file"]
        assert list(store.folders("nowhere")) == list(store.names("nowhere")) == []

    def test_delete_takes_the_folder_with_the_last_object(self, store: Store) -> None:
        store.put("m/a/deep/1", b"x")
        store.put("m/b/1", b"x")
        store.delete(["m/a/deep/1", "m/never/was"])
        assert list(store.folders("m")) == ["b"]
        store.create("m/a/deep/1", b"again")
        assert list(store.folders("m")) == ["a", "b"]

    def test_the_clock_goes_on(self, store: Store) -> None:
        first, second = store.clock(), store.clock()
        assert second >= first
        store.put("a", b"")
        stat = store.stat("a")
        assert stat is not None and stat.modified - first < timedelta(minutes=1)

    # streams

    def test_a_large_file_goes_up_and_comes_down(self, store: Store, tmp_path: Path) -> None:
        source = _big_file(tmp_path)
        told: list[int] = []
        store.upload(source, "deep/down/big", sha256=_digest(source), progress=told.append)
        assert sum(told) == BIG
        pieces = list(store.stream("deep/down/big"))
        assert b"".join(pieces) == source.read_bytes()
        assert max(map(len, pieces)) <= CHUNK
        assert b"".join(store.stream("deep/down/big", start=BIG - 7)) == source.read_bytes()[-7:]
        assert list(store.stream("deep/down/big", start=BIG)) == []

    @pytest.mark.parametrize("size", [0, 10, BIG])
    def test_upload_can_be_create_only(self, store: Store, tmp_path: Path, size: int) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"x" * size)
        store.upload(source, "code/1.tar", create=True)
        source.write_bytes(b"y" * size)
        with pytest.raises(ObjectExistsError):
            store.upload(source, "code/1.tar", create=True)
        assert hashlib.sha256(b"".join(store.stream("code/1.tar"))).digest() == hashlib.sha256(b"x" * size).digest()

    @pytest.mark.parametrize("size", [10, BIG])
    def test_a_file_that_changed_is_not_written(self, store: Store, tmp_path: Path, size: int) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"x" * size)
        with pytest.raises(InputError, match="changed while"):
            store.upload(source, "a", sha256=hashlib.sha256(b"other").hexdigest())
        assert store.stat("a") is None
        assert list(store.list()) == []

    def test_ranges(self, store: Store) -> None:
        token = store.create("a", b"0123456789")
        assert store.read_range("a", 2, 3) == b"234"
        assert store.read_range("a", 8, 100, read=token) == b"89"
        assert store.read_range("a", 10, 5, read=token) == b""

    def test_ranges_of_a_replaced_object_are_refused(self, store: Store) -> None:
        old = store.create("a", b"0123456789")
        store.replace("a", b"abcdefghij", old)
        with pytest.raises(ObjectChangedError):
            store.read_range("a", 2, 3, read=old)

    def test_a_stream_never_mixes_two_objects(self, store: Store, tmp_path: Path) -> None:
        store.upload(_big_file(tmp_path), "big")
        stream = store.stream("big")
        next(stream)
        store.upload(_big_file(tmp_path), "big")
        with pytest.raises(ObjectChangedError):
            list(stream)

    def test_copy(self, store: Store) -> None:
        store.create("a", b"1")
        store.copy("a", "deep/b")
        store.put("a", b"2")
        assert store.get("deep/b").data == b"1"
        with pytest.raises(ObjectNotFoundError):
            store.copy("nowhere", "c")


class RaceContract:
    """The verbs, from two processes at once."""

    def test_exactly_one_process_creates(self, url: str, store: Store) -> None:
        won = race("create", url, 150)
        for number in range(150):
            winners = [name for name, keys in won.items() if str(number) in keys]
            assert len(winners) == 1, f"{winners} created {number}"
            assert store.get(f"race/{number}").data == winners[0].encode()

    def test_exactly_one_process_creates_a_large_object(self, url: str, store: Store) -> None:
        won = race("upload", url, 3)
        for number in range(3):
            winners = [name for name, keys in won.items() if str(number) in keys]
            assert len(winners) == 1, f"{winners} uploaded {number}"
            assert store.read_range(f"race/{number}", CHUNK, 1) == winners[0].encode()

    def test_no_increment_is_lost_between_two_processes(self, url: str, store: Store) -> None:
        store.create("counter", b"000000")
        race("increment", url, 200)
        assert store.get("counter").data == b"000400"


def _big_file(folder: Path) -> Path:
    path = folder / "big"
    path.write_bytes(os.urandom(BIG))
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
