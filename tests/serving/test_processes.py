"""The program as processes: killed, stopped, under load, switching."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from skylift.artifacts.records import ReplicaReport
from tests.serving.conftest import Bench
from tests.serving.waiting import refuses, wait_for
from tests.serving.whole import ROWS, answers, publish_slow, seconds_of_slow, serve


class TestProcesses:
    def test_a_killed_worker_is_answered_for_within_two_seconds(self, bench: Bench) -> None:
        server = serve(bench, 2)
        os.kill(server.workers[0], signal.SIGKILL)
        began = time.monotonic()
        wait_for(lambda: answers(server, 2), 10)
        assert time.monotonic() - began < 2
        assert server.process.poll() is None
        assert len(server.workers) == 2

    def test_newcomers_wait_while_the_only_worker_is_replaced(self, bench: Bench) -> None:
        server = serve(bench, 2)
        os.kill(server.workers[0], signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(server.workers[0]))
        assert server.predict(ROWS).json() == {"predictions": [[2.0, 4.0, 6.0]]}

    @pytest.mark.slow
    def test_a_killed_worker_of_two_is_replaced_and_follows(self, bench: Bench) -> None:
        server = serve(bench, 2, "--workers", "2")
        os.kill(server.workers[1], signal.SIGKILL)
        bench.wait_report(lambda report: report.ready_workers == 1)
        bench.wait_report(lambda report: report.ready_workers == 2)
        bench.deploy(bench.publish_scale(3))
        bench.wait_report(lambda report: report.serving == 2 and report.ready_workers == 2)
        assert all(answers(server, 3) for _ in range(10))

    def test_a_killed_supervisor_takes_its_workers_and_frees_the_port(self, bench: Bench) -> None:
        server = serve(bench, 2, "--workers", "2")
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(psutil.pid_exists(pid) for pid in server.workers), 5, "the workers' end")
        assert refuses(server.port)
        again = bench.start("--port", str(server.port))
        again.wait_ready()
        assert answers(again, 2)

    @pytest.mark.slow
    def test_a_model_that_kills_its_workers_is_given_up(self, bench: Bench) -> None:
        """A load that takes more memory than there is ends in a killed worker, not in an error."""
        server = serve(bench, 2)
        os.kill(server.workers[0], signal.SIGSTOP)  # it takes the order, and is gone before it can carry it out
        bench.deploy(bench.publish_scale(3))
        wait_for(lambda: len(server.events("loading")) == 2)
        killed: set[int] = set()

        def is_given_up(report: ReplicaReport) -> bool:
            """Nobody lives long enough to load; the first may die before the order has reached it, which does not count."""
            for pid in set(server.workers) - killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
            return report.failure is not None

        report = bench.wait_report(is_given_up)
        assert report.failure is not None and "workers died" in report.failure.message
        wait_for(lambda: answers(server, 2))

    def test_a_taken_port_is_one_clear_line(self, bench: Bench) -> None:
        server = serve(bench, 2)
        command = [sys.executable, "-P", "-m", "serving", "--endpoint", f"{bench.keep.url}/endpoints/x"]
        second = subprocess.run([*command, "--port", str(server.port)], capture_output=True, text=True, timeout=30)
        assert second.returncode == 6
        (line,) = second.stderr.splitlines()
        assert f"port {server.port} of 127.0.0.1 is taken by" in line
        assert f"process {server.process.pid}" in line or "process" in line

    @pytest.mark.parametrize(
        "options",
        [
            ["--endpoint", "file:///keep/models/x"],
            ["--endpoint", "ftp://x/endpoints/x"],
            ["--endpoint", "file:///keep/endpoints/x", "--workers", "0"],
            ["--endpoint", "file:///keep/endpoints/x", "--queue-rows", "3"],
            ["--endpoint", "file:///keep/endpoints/x", "--nonsense"],
        ],
    )
    def test_wrong_options_are_one_clear_line(self, options: list[str]) -> None:
        command = [sys.executable, "-P", "-m", "serving", *options]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 3
        assert len(ended.stderr.splitlines()) == 1


class TestEnd:
    def test_a_request_in_flight_is_answered(self, bench: Bench) -> None:
        bench.deploy(publish_slow(bench))
        server = bench.start()
        server.wait_ready()
        turns = seconds_of_slow(server, 1.5)
        got: list[int] = []
        asking = threading.Thread(target=lambda: got.append(server.predict([[turns]], "slow").status))
        asking.start()
        worker = psutil.Process(server.workers[0])
        wait_for(lambda: len([one for one in worker.net_connections("tcp") if one.status == "ESTABLISHED"]) > 0)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server.port))
        assert server.process.poll() is None
        assert server.process.wait(30) == 0
        asking.join()
        assert got == [200]

    @pytest.mark.slow
    def test_what_takes_longer_than_the_drain_is_cut_off(self, bench: Bench) -> None:
        bench.deploy(publish_slow(bench))
        server = bench.start("--drain-seconds", "0.3")
        server.wait_ready()
        turns = seconds_of_slow(server, 20)
        asking = threading.Thread(
            target=lambda: server.try_ask("POST", "/v1/models/slow:predict", {"instances": [[turns]]}, 30)
        )
        asking.start()
        worker = psutil.Process(server.workers[0])
        wait_for(lambda: len([one for one in worker.net_connections("tcp") if one.status == "ESTABLISHED"]) > 0)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        asking.join()

    def test_a_second_signal_does_not_wait(self, bench: Bench) -> None:
        bench.deploy(publish_slow(bench))
        server = bench.start("--drain-seconds", "60")
        server.wait_ready()
        turns = seconds_of_slow(server, 20)
        asking = threading.Thread(
            target=lambda: server.try_ask("POST", "/v1/models/slow:predict", {"instances": [[turns]]}, 30)
        )
        asking.start()
        worker = psutil.Process(server.workers[0])
        wait_for(lambda: len([one for one in worker.net_connections("tcp") if one.status == "ESTABLISHED"]) > 0)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.events("draining"))
        assert server.stop(signal.SIGINT, 5) == 0
        asking.join()

    @pytest.mark.slow
    def test_readiness_ends_with_the_signal_while_requests_end(self, bench: Bench) -> None:
        bench.deploy(publish_slow(bench))
        server = bench.start()
        server.wait_ready()
        held = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        held.request("GET", "/readyz")
        assert held.getresponse().read() == b'{"status": "ok"}'
        turns = seconds_of_slow(server, 1.5)
        asking = threading.Thread(target=lambda: server.predict([[turns]], "slow"))
        asking.start()
        worker = psutil.Process(server.workers[0])
        wait_for(lambda: len([one for one in worker.net_connections("tcp") if one.status == "ESTABLISHED"]) > 1)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server.port))
        try:
            held.request("GET", "/readyz")
            answer = held.getresponse()
            assert answer.status == 503
            assert json.loads(answer.read())["code"] == "draining"
        except (http.client.HTTPException, OSError):
            pass  # idle connections are closed 0.3 s after the signal
        held.close()
        asking.join()
        assert server.process.wait(30) == 0

    def test_nothing_is_left(self, bench: Bench) -> None:
        server = serve(bench, 2, "--workers", "2")
        assert server.stop() == 0
        assert not any(psutil.pid_exists(pid) for pid in server.workers)
        assert refuses(server.port)


class TestLoad:
    def test_a_full_queue_is_429_and_says_when_to_try_again(self, bench: Bench) -> None:
        bench.deploy(publish_slow(bench))
        server = bench.start("--queue-rows", "2", "--max-batch-rows", "1")
        server.wait_ready()
        turns = seconds_of_slow(server, 0.4)
        answers_: list[tuple[int, str | None]] = []

        def ask() -> None:
            answer = server.predict([[turns]], "slow")
            answers_.append((answer.status, answer.headers["Retry-After"]))

        asking = [threading.Thread(target=ask) for _ in range(8)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        assert {status for status, _ in answers_} == {200, 429}
        assert {after for status, after in answers_ if status == 429} == {"1"}

    @pytest.mark.slow
    def test_health_answers_while_the_model_computes(self, bench: Bench) -> None:
        bench.deploy(publish_slow(bench))
        server = bench.start()
        server.wait_ready()
        turns = seconds_of_slow(server, 1.5)
        asking = threading.Thread(target=lambda: server.predict([[turns]], "slow"))
        asking.start()
        began = time.monotonic()
        assert server.ask("GET", "/healthz").status == 200
        assert time.monotonic() - began < 1
        asking.join()


class TestSwitch:
    def test_no_request_fails_while_versions_change(self, bench: Bench) -> None:
        refs = [bench.publish_scale(factor) for factor in (2, 3)]
        bench.deploy(refs[0])
        server = bench.start("--workers", "2")
        server.wait_ready()
        stop = threading.Event()
        seen: list[tuple[int, float, str | None]] = []

        def load() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            while not stop.is_set():
                connection.request("POST", "/v1/models/scale:predict", json.dumps({"instances": ROWS}))
                answer = connection.getresponse()
                plain = json.loads(answer.read())
                seen.append((answer.status, plain["predictions"][0][0], answer.headers["X-Skylift-Model-Version"]))
            connection.close()

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for turn in range(1, 4):
                made = bench.deploy(refs[turn % 2])
                bench.wait_report(lambda report, number=made.number: report.serving == number)  # type: ignore[misc]
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert len(seen) > 50
        assert {status for status, _, _ in seen} == {200}
        assert {(first, version) for _, first, version in seen} == {(2.0, "1"), (3.0, "2")}

    @pytest.mark.slow
    def test_the_same_version_deployed_again_is_not_loaded_again(self, bench: Bench) -> None:
        server = serve(bench, 2)
        bench.deploy(bench.keep_ref("scale", 1))
        bench.wait_report(lambda report: report.serving == 2)
        assert server.predict(ROWS).headers["X-Skylift-Deployment"] == "2"

    @pytest.mark.slow
    def test_the_version_before_stays_in_the_cache_and_older_ones_go(self, bench: Bench) -> None:
        server = serve(bench, 2)
        for factor, number in ((3, 2), (4, 3)):
            bench.deploy(bench.publish_scale(factor))
            bench.wait_report(lambda report, number=number: report.serving == number)  # type: ignore[misc]
        wait_for(lambda: len([one for one in (bench.folder / "cache").iterdir() if one.is_dir()]) == 2)
        assert answers(server, 4)


def test_the_supervisor_imports_nothing_heavy() -> None:
    code = "import sys, serving.supervisor.program; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "numpy",
        "onnxruntime",
        "tensorflow",
        "keras",
        "pulumi",
        "rich",
        "uvloop",
        "httptools",
        "orjson",
    }
    assert not heavy & set(loaded)


def test_a_folder_named_serving_beside_the_user_does_not_shadow_ours(tmp_path: Path) -> None:
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "__init__.py").write_text("raise SystemExit('shadowed')")
    command = [sys.executable, "-P", "-m", "serving", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert ended.returncode == 0
    assert "--endpoint" in ended.stdout
