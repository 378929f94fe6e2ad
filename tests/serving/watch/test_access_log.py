"""The access log and the ids of requests."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.watch.access_log import AccessLog, masked
from serving.watch.request_ids import RequestIds
from skylift.errors import InputError
from tests.serving.waiting import wait_for
from tests.serving.watch.watched import call, refused


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestAccessLog:
    def test_a_line_says_what_is_known(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        log = AccessLog(str(path))
        log.write(
            call(client="10.0.0.7", principal="ci", deployment=4, is_canary=True, request_bytes=17, response_bytes=9)
        )
        log.close()
        (line,) = lines_of(path)
        assert line.pop("at").endswith("Z")
        ms = line.pop("ms")
        assert ms == {name: pytest.approx(value, abs=0.002) for name, value in ms.items()}
        assert ms["run"] == pytest.approx(2.0, abs=0.002)
        assert ms["total"] == pytest.approx(2.25, abs=0.002)
        assert line == {
            "request_id": "id-1",
            "client": "10.0.0.7",
            "protocol": "tfs-rest",
            "api": "predict",
            "model": "m",
            "version": 3,
            "deployment": 4,
            "canary": True,
            "signature": "serving_default",
            "status": 200,
            "rows": 1,
            "batch_rows": 1,
            "request_bytes": 17,
            "response_bytes": 9,
            "principal": "ci",
            "error": "",
        }

    def test_errors_are_written_whatever_the_rate(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        log = AccessLog(str(path), rate=0.0)
        for one in (call(), refused(), call(protocol="v2-grpc", status=0), refused(protocol="v2-grpc", status=13)):
            log.write(one)
        log.close()
        assert [line["status"] for line in lines_of(path)] == [400, 13]

    def test_a_share_of_the_successes(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        log = AccessLog(str(path), rate=0.2)
        for _ in range(2000):
            log.write(call())
        log.close()
        assert 200 < len(lines_of(path)) < 700

    @pytest.mark.parametrize(
        ("told", "written"),
        [
            (
                "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"my secret Type: x\" "
                "Type: String is not of expected type: float",
                "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: … "
                "Type: String is not of expected type: float",
            ),
            ('JSON Value: {"secret": [1, 2]} Is not object', "JSON Value: …"),
            (
                'Failed to process element: 1 of \'instances\' list. JSON object: {"a": "s"} keys must be equal to: x',
                "Failed to process element: 1 of 'instances' list. JSON object: …",
            ),
            ("JSON object: does not have named input: x", "JSON object: does not have named input: x"),
            ('Serving signature name: "secret" not found', 'Serving signature name: "…" not found'),
            ("x" * 1000, "x" * 200 + "…"),
        ],
    )
    def test_nothing_of_the_body_in_an_error(self, told: str, written: str) -> None:
        assert masked(told) == written

    def test_odd_texts_and_times_make_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        log = AccessLog(str(path))
        log.write(refused(error='a"\n{"forged": 1}\n\x00', request_id="\udcff", client="\ud800", signature="ü\r\n"))
        log.write(call(arrived=0.0))
        log.close()
        assert len(lines_of(path)) == 2

    @pytest.mark.parametrize("odd", [math.nan, math.inf])
    def test_times_that_are_no_times_lose_at_most_the_line(self, tmp_path: Path, odd: float) -> None:
        from serving.watch.options import WatchOptions
        from serving.watch.watcher import Watcher

        path = tmp_path / "access.log"
        watcher = Watcher(WatchOptions(access_log=str(path)))
        watcher.done(call(answered=odd))
        watcher.done(call())
        watcher.close()
        assert len(lines_of(path)) == 1
        assert watcher.snapshot().counters["skylift_watch_errors_total"]["access_log"] == 1

    def test_a_file_that_was_moved_away_is_made_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        log = AccessLog(str(path))
        log.write(call(request_id="before"))
        wait_for(lambda: path.stat().st_size, what="the first line")
        path.rename(tmp_path / "access.log.1")
        log.reopen()
        wait_for(path.exists, what="the new file")
        log.write(call(request_id="after"))
        log.close()
        assert [line["request_id"] for line in lines_of(tmp_path / "access.log.1")] == ["before"]
        assert [line["request_id"] for line in lines_of(path)] == ["after"]

    def test_a_full_disk_only_costs_lines(self) -> None:
        lost: list[int] = []
        log = AccessLog("/dev/full", dropped=lost.append)
        for _ in range(100):
            log.write(call())
        log.close()
        assert sum(lost) == 100

    def test_a_reader_that_stands_still_holds_nobody_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("serving.watch.access_log.MOST_BYTES", 100_000)
        reading, writing = os.pipe()
        lost: list[int] = []
        log = AccessLog(f"/dev/fd/{writing}", dropped=lost.append)
        for _ in range(5000):
            log.write(call())
        assert sum(lost) > 3000
        os.close(writing)
        with ThreadPoolExecutor(1) as pool, os.fdopen(reading, "rb") as pipe:
            text = pool.submit(pipe.read)  # somebody reads at last
            log.close()
            written = text.result().splitlines()
        assert len(written) + sum(lost) == 5000
        assert all(json.loads(line)["model"] == "m" for line in written)

    def test_two_processes_share_a_pipe_without_mixing_lines(self) -> None:
        program = (
            "from serving.watch.access_log import AccessLog\n"
            "from tests.serving.watch.watched import call\n"
            "log = AccessLog('stderr')\n"
            "for _ in range(3000): log.write(call(error='e' * 150))\n"
            "log.close(30.0)\n"
        )
        reading, writing = os.pipe()
        both = [subprocess.Popen([sys.executable, "-c", program], stderr=writing) for _ in range(2)]
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            written = pipe.read().splitlines()
        assert [one.wait() for one in both] == [0, 0]
        assert len(written) == 6000
        assert all(json.loads(line)["error"] == "e" * 150 for line in written)

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no-such-folder"):
            AccessLog(str(tmp_path / "no-such-folder" / "access.log"))


class TestRequestIds:
    @pytest.mark.parametrize("given", ["abc-123", b"abc-123", "a b", "x" * 128])
    def test_a_sane_one_of_the_clients_is_taken(self, given: str | bytes) -> None:
        assert RequestIds().of(given) == (given if isinstance(given, str) else given.decode())

    @pytest.mark.parametrize(
        "given", [None, "", b"", "x" * 129, "a\r\nSet-Cookie: b", "ü", b"\xff\xfe", "\x00", "   ", "\x7f"]
    )
    def test_another_gets_one_of_ours(self, given: str | bytes | None) -> None:
        made = RequestIds().of(given)
        assert made.isascii()
        assert made.isprintable()
        assert made != given
        assert len(made) < 32

    def test_none_comes_twice(self) -> None:
        ours, theirs = RequestIds(), RequestIds()
        assert len({one.of() for one in (ours, theirs) for _ in range(1000)}) == 2000
