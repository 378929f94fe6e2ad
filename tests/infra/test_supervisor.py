import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local import supervisor
from infra.local.supervisor import Spec, ensure, remove, running
from skylift.errors import MachineError, ProvisionError
from skylift.stack import processes
from skylift.stack.local import read_record


@pytest.fixture
def spec(tmp_path: Path) -> Iterator[Spec]:
    folder = tmp_path / "endpoints" / "default"
    yield Spec(
        name="default",
        folder=str(folder),
        keep="file:///keep",
        work="file:///work",
        host="127.0.0.1",
        port=0,
        workers=1,
        backend="auto",
        threads=0,
        queue_rows=10,
        max_batch_rows=5,
        drain_seconds=1.0,
        release="1",
        setting="skylift:endpoints.default.port",
    )
    remove(folder)


def _workers(url: str) -> str:
    with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
        return str(answer.read().decode())


def test_a_second_ensure_keeps_the_process(spec: Spec) -> None:
    first = ensure(spec)
    assert _workers(first.url) == "1"
    assert ensure(spec) == first
    assert running(spec.path) == first


def test_another_setting_restarts_it_on_the_port_that_was_chosen(spec: Spec) -> None:
    first = ensure(spec)
    second = ensure(replace(spec, workers=3))
    assert _workers(second.url) == "3"
    assert second.port == first.port
    assert not first.alive


def test_a_killed_one_is_seen_and_replaced(spec: Spec) -> None:
    first = ensure(spec)
    os.kill(first.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: running(spec.path) is None, 5)
    second = ensure(spec)
    assert second.alive and second.pid != first.pid


def test_one_that_was_never_recorded_is_ended_before_another_starts(spec: Spec) -> None:
    """As after a kill between the start and the record."""
    first = ensure(spec)
    (spec.path / "process.json").unlink()
    second = ensure(spec)
    assert not first.alive
    assert second.alive


def test_one_that_is_still_starting_when_its_up_was_killed_is_adopted(spec: Spec, standin: Path) -> None:
    (standin / "not-ready").touch()
    first: list[str] = []

    def wait_for_it() -> None:
        try:
            ensure(spec, ready_within=20)
        except ProvisionError as error:
            first.append(str(error))

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    assert processes.wait_until(lambda: read_record(spec.path) is not None, 10)
    started = read_record(spec.path)
    (standin / "not-ready").unlink()
    adopted = ensure(spec)
    waiting.join()
    assert first == []
    assert adopted == started


def test_a_taken_port_is_named_with_its_holder_and_the_setting(spec: Spec) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MachineError, match=f"port {port} of 127.0.0.1 is taken") as caught:
            ensure(replace(spec, port=port))
    assert f"(pid {os.getpid()})" in caught.value.message
    assert "skylift:endpoints.default.port" in caught.value.hint


def test_one_that_ends_at_its_start_gives_the_end_of_its_log(spec: Spec, standin: Path) -> None:
    (standin / "broken").touch()
    with pytest.raises(ProvisionError, match="broken on purpose"):
        ensure(spec)
    (standin / "broken").unlink()
    assert ensure(spec).alive


def test_one_that_does_not_get_ready_is_not_left_running(spec: Spec, standin: Path) -> None:
    (standin / "not-ready").touch()
    with pytest.raises(ProvisionError, match=r"not ready within 1 s \(/healthz 200, /readyz 503\)"):
        ensure(spec, ready_within=1)
    assert running(spec.path) is None
    assert processes.by_argument(str(spec.path / "cache")) == []


def test_remove_leaves_no_process_port_or_file(spec: Spec) -> None:
    record = ensure(spec)
    remove(spec.path)
    assert not record.alive
    assert processes.port_free(record.host, record.port)
    assert not spec.path.exists()
    remove(spec.path)


def test_the_program_does_not_see_what_the_engine_tells_its_plugins(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hush")
    record = ensure(spec)
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    environment = Path(f"/proc/{record.pid}/environ").read_bytes()
    assert b"PULUMI" not in environment
    assert b"PYTHONPATH" in environment


def test_numbers_from_the_engine_are_whole_again(spec: Spec) -> None:
    as_floats = {
        key: float(value) if isinstance(value, int) else value for key, value in supervisor.plain(spec).items()
    }
    assert supervisor.from_plain({**as_floats, "__provider": "x", "pid": 1.0}) == spec


def test_one_at_a_time(spec: Spec) -> None:
    """Two processes that ensure the same endpoint end with one supervisor."""
    program = (
        "import sys, json; from infra.local import supervisor;"
        "print(supervisor.ensure(supervisor.from_plain(json.loads(sys.argv[1]))).pid)"
    )
    import json

    command = [sys.executable, "-c", program, json.dumps(supervisor.plain(spec))]
    root = str(Path(supervisor.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], root])}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    said = [process.communicate()[0].strip() for process in both]
    assert said[0] == said[1] != ""
