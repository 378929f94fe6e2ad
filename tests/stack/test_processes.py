import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from skylift.stack import processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Leads a session with one child, both of which ignore SIGTERM."""
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen(['sleep', '600']); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.stdout.close()
    for pid, _ in processes.session(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def test_a_process_is_known_by_its_birth(sleeper: subprocess.Popen[bytes]) -> None:
    birth = processes.born(sleeper.pid)
    assert birth is not None
    assert processes.alive(sleeper.pid, birth)
    assert not processes.alive(sleeper.pid, birth + "0")
    assert processes.born(sleeper.pid) != processes.born(os.getpid())


def test_a_zombie_does_not_run(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    assert processes.wait_until(lambda: processes.born(sleeper.pid) is None, 5)


def test_stop_ends_the_whole_session_even_where_sigterm_is_ignored(sleeper: subprocess.Popen[bytes]) -> None:
    assert len(processes.session(sleeper.pid)) == 1
    birth = processes.born(sleeper.pid)
    assert birth
    processes.stop(sleeper.pid, birth, grace=0.2)
    assert processes.born(sleeper.pid) is None
    assert processes.session(sleeper.pid) == []


def test_stop_ends_what_a_killed_leader_left(sleeper: subprocess.Popen[bytes]) -> None:
    birth = processes.born(sleeper.pid)
    assert birth
    sleeper.kill()
    sleeper.wait()
    assert processes.session(sleeper.pid)
    processes.stop(sleeper.pid, birth, grace=0.2)
    assert processes.session(sleeper.pid) == []


def test_stop_leaves_a_pid_alone_that_is_somebody_elses_by_now(sleeper: subprocess.Popen[bytes]) -> None:
    processes.stop(sleeper.pid, "born some other day", grace=0.1)
    assert sleeper.poll() is None
    assert processes.session(sleeper.pid)


def test_a_port_in_use_is_seen_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not processes.port_free("127.0.0.1", port)
        found = processes.holder(port)
        assert found is not None and found[0] == os.getpid()
    assert processes.port_free("127.0.0.1", port)


def test_a_process_is_found_by_an_argument(sleeper: subprocess.Popen[bytes]) -> None:
    marked = subprocess.Popen(["sleep", "611"])
    try:
        assert (marked.pid, processes.born(marked.pid)) in processes.by_argument("611")
    finally:
        marked.kill()
        marked.wait()
