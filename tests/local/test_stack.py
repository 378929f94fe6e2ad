"""A stack's life through the commands: nothing changes twice, what is killed is seen and mended, nothing is left."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from skylift.stack import processes
from skylift.stack.local import LocalFolders, read_record
from tests.local.conftest import Place, end, ending, interrupt, make_place, wait_for
from tests.store.disks import small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def _supervisor(place: Place) -> int:
    record = read_record(LocalFolders(place.folder, "local").endpoint("default"))
    assert record is not None
    return record.pid


def _url(place: Place) -> str:
    return str(place.json("status")["endpoints"][0]["url"])


def test_a_second_up_changes_nothing_and_neither_does_plain_pulumi(stack):
    again = stack.json("up", "--yes")
    assert set(again["changes"]) == {"same"}
    assert "nothing would change" in stack.skylift("preview", "--expect-no-changes").out
    # As the guide says: eval "$(skylift env local)", then Pulumi itself.
    program = f"{shlex.quote(sys.executable)} -P -m skylift.cli env local"
    script = f'set -e; eval "$({program})"; pulumi up --stack local --yes --skip-preview --expect-no-changes'
    plain = subprocess.run(
        ["bash", "-c", script], cwd=stack.folder, env=stack.surroundings, capture_output=True, text=True
    )
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert "unchanged" in plain.stdout


def test_a_killed_supervisor_is_drift_that_up_mends(stack):
    url = _url(stack)
    pid = _supervisor(stack)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid), "it to be gone")
    seen = stack.skylift("status").out
    assert "down" in seen and f"endpoint default does not answer at {url}" in seen and "skylift up local" in seen
    drifted = stack.skylift("refresh", "--preview-only", "--expect-no-changes", code=5)
    assert "drift" in drifted.out
    mended = stack.skylift("up", "--yes")
    assert "default-supervisor" in mended.err
    assert stack.json("status")["drift"] == []
    with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
        assert answer.status == 200
    assert "no drift" in stack.skylift("refresh").out


def test_two_ups_at_once_both_end_well_defined(stack):
    ended = [ending(one) for one in [stack.begin("up", "--yes", "--json") for _ in range(2)]]
    assert {one.code for one in ended} <= {0, 5}
    assert 0 in {one.code for one in ended}
    assert all(one.code == 0 or "being changed" in one.document["error"]["message"] for one in ended)
    assert set(stack.json("up", "--yes")["changes"]) == {"same"}


def test_questions_are_not_guessed_without_a_terminal(stack):
    for command in (["down"], ["rollback"]):
        assert "--yes" in stack.skylift(*command, code=2).err


def test_a_taken_port_is_named_and_what_is_interrupted_goes_on(empty):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        empty.skylift("init", "--port", str(port))
        refused = empty.skylift("up", "--yes", code=6)
        assert f"port {port}" in refused.err and f"pid {os.getpid()}" in refused.err
        assert "Traceback" not in refused.err

    begun = empty.begin("up", "--yes")
    wait_for(lambda: (empty.folder / ".skylift" / "engine-local.log").exists(), "the engine")
    wait_for(lambda: list((empty.folder / ".skylift").glob("engine-*/events.jsonl")), "its events")
    left = interrupt(begun)
    assert left.code in (0, 130), left.err
    assert "Traceback" not in left.err
    assert left.code == 0 or "goes on" in left.err
    empty.skylift("up", "--yes")
    status = empty.json("status")
    assert status["drift"] == [] and status["endpoints"][0]["health"] == "ready"

    taken = empty.json("down", "--yes")
    left_over = taken["left"]
    assert not left_over["processes"] and not left_over["ports"] and not left_over["locks"]
    assert len(left_over["buckets"]) == 2 and empty.keep.is_dir(), "the data stays"
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
    assert "--delete-data" in empty.skylift("down", "--yes").out
    assert empty.json("down", "--yes", "--delete-data")["left"]["buckets"] == []
    assert not empty.keep.exists() and not empty.work.exists()
    folder = str(empty.folder)
    assert not [one for one in psutil.process_iter(["cmdline"]) if folder in " ".join(one.info["cmdline"] or [])]


def test_down_stops_what_trains(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    place = make_place(folder, tmp_path / "home")
    try:
        place.skylift("init", "--port", "0", "--disposable")
        place.skylift("up", "--yes")
        run = place.json("train", "mnist", "--detach", "--set", "epochs=500")["run"]
        wait_for(lambda: place.has_stepped(run), "a first step")
        taken = place.json("down", "--yes")
        assert taken["stopped_runs"] == [run]
        assert taken["left"]["processes"] == [] and taken["left"]["buckets"] == [], "disposable: the data goes too"
        assert not processes.by_argument(f"{folder}/.skylift")
    finally:
        end(place)


def test_a_full_disk_is_named(tmp_path: Path):
    with small_disk(tmp_path / "disk", "16m") as disk:
        place = make_place(disk, tmp_path / "home")
        place.skylift("init", "--port", "0")
        filler = disk / "filler"
        filler.write_bytes(b"\0" * (14 * 2**20 + 700_000))
        refused = place.skylift("up", "--yes", code=6)
        assert "the disk is full" in refused.err.splitlines()[0] and "Traceback" not in refused.err
        assert place.json("up", "--yes", code=6)["error"]["kind"] == "machine"
        filler.unlink()
        try:
            place.skylift("up", "--yes")
            filler.write_bytes(b"\0" * max(shutil.disk_usage(disk).free - 200_000, 0))
            saved = place.skylift("train", "mnist", "--set", "epochs=1", code=75)
            assert "the disk is full" in saved.err and "Traceback" not in saved.err
            with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"\0" * 4096):
                    pass
            refused = place.skylift("train", "mnist", "--set", "epochs=1", code=6)
            assert "the disk is full" in refused.err and "Traceback" not in refused.err
            filler.unlink()
            assert place.json("train", "--resume", place.runs()[0])["state"] == "succeeded"
        finally:
            end(place)
