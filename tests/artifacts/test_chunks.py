from __future__ import annotations

import threading
from pathlib import Path

import pytest

from skylift.artifacts.chunks import CHUNK_LIMIT, ChunkReader, ChunkWriter
from skylift.errors import MachineError
from skylift.store import Stat, Store, Token, open_store
from tests.artifacts.watched import Watched


def test_a_follower_gets_each_byte_once(work: Store) -> None:
    writer, reader = ChunkWriter(work, "logs/r"), ChunkReader(work, "logs/r")
    assert reader.read() == b""
    got, sent = b"", b""
    for n in range(60):
        piece = b"%d " % n * (n * 300)
        writer.write(piece)
        sent += piece
        if n % 3 == 0:
            writer.flush()
            got += reader.read()
            assert got == sent
    writer.close()
    assert got + reader.read() == sent
    assert reader.read() == b""
    sizes = [stat.size for stat in work.names("logs/r")]
    assert len(sizes) > 3 and set(sizes[:-1]) == {CHUNK_LIMIT}


def test_a_late_reader_gets_all(work: Store) -> None:
    writer = ChunkWriter(work, "events/r", ".jsonl")
    writer.write(b"x" * (CHUNK_LIMIT * 2 + 5))
    writer.close()
    assert [stat.key[-14:] for stat in work.names("events/r")] == [f"{n:08d}.jsonl" for n in range(3)]
    reader = ChunkReader(work, "events/r")
    assert [len(piece) for piece in reader.pieces()] == [CHUNK_LIMIT, CHUNK_LIMIT, 5]
    assert reader.read() == b""


def test_a_resumed_run_goes_on_behind_what_is_there(work: Store) -> None:
    reader = ChunkReader(work, "logs/r")
    for attempt in range(3):
        writer = ChunkWriter(work, "logs/r")
        writer.write(b"attempt %d\n" % attempt)
        writer.close()
        assert reader.read() == b"attempt %d\n" % attempt
    assert ChunkReader(work, "logs/r").read() == b"attempt 0\nattempt 1\nattempt 2\n"


def test_two_writers_keep_what_both_wrote(work: Store) -> None:
    """A machine that was thought dead wakes up beside its replacement."""
    asleep, replacement = ChunkWriter(work, "logs/r"), ChunkWriter(work, "logs/r")
    replacement.write(b"new\n")
    replacement.flush()
    asleep.write(b"old\n")
    asleep.flush()
    replacement.write(b"newer\n")
    replacement.flush()
    assert sorted(ChunkReader(work, "logs/r").read().split()) == [b"new", b"newer", b"old"]


def test_flush_without_news_asks_nothing(work: Store) -> None:
    class Counting(Watched):
        puts = 0

        def put(self, key: str, data: bytes) -> Token:
            self.puts += 1
            return super().put(key, data)

        def create(self, key: str, data: bytes) -> Token:
            self.puts += 1
            return super().create(key, data)

    counting = Counting(work)
    writer = ChunkWriter(counting, "logs/r")
    writer.flush()
    assert counting.puts == 0
    writer.write(b"x")
    for _ in range(5):
        writer.flush()
    assert counting.puts == 1


def test_what_could_not_be_written_goes_with_the_next_flush(work: Store) -> None:
    class Full(Watched):
        is_full = True

        def create(self, key: str, data: bytes) -> Token:
            if self.is_full:
                raise MachineError("the disk is full")
            return super().create(key, data)

    store = Full(work)
    writer = ChunkWriter(store, "logs/r")
    writer.write(b"kept")
    with pytest.raises(MachineError):
        writer.flush()
    store.is_full = False
    writer.flush()
    assert ChunkReader(work, "logs/r").read() == b"kept"


def test_threads_may_write_at_once(work: Store) -> None:
    writer = ChunkWriter(work, "logs/r")

    def write(name: int) -> None:
        for n in range(200):
            writer.write(b"%d:%d;" % (name, n) * 20 + b"\n")
            if n % 50 == 0:
                writer.flush()

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = ChunkReader(work, "logs/r").read().splitlines()
    assert sorted(lines) == sorted(b"%d:%d;" % (name, n) * 20 for name in range(4) for n in range(200))


def test_expired_chunks_are_passed_over(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    writer = ChunkWriter(store, "logs/r")
    writer.write(b"a" * CHUNK_LIMIT + b"b" * CHUNK_LIMIT + b"end")
    writer.close()
    store.delete(["logs/r/00000000"])
    assert ChunkReader(store, "logs/r").read() == b"b" * CHUNK_LIMIT + b"end"


def test_bytes_that_come_between_two_looks_are_not_lost(work: Store) -> None:
    """The writer fills the chunk and begins the next one after the reader has read and before it looks for the next."""
    writer = ChunkWriter(work, "logs/r")
    writer.write(b"first ")
    writer.flush()

    class Late(Watched):
        def stat(self, key: str) -> Stat | None:
            if key.endswith("00000001") and not self.asked.count(key):
                writer.write(b"x" * CHUNK_LIMIT + b"last")
                writer.flush()
            return super().stat(key)

    late = Late(work)
    assert ChunkReader(late, "logs/r").read() == b"first " + b"x" * CHUNK_LIMIT + b"last"
