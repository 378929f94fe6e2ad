"""What a replica tells of its requests."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import Callable

import pytest

from serving.supervisor.summary import Summary
from serving.traffic import BOUNDS_MS, Traffic
from tests.serving.conftest import Bench
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS, serve


def of(*answers: tuple[int, float]) -> Traffic:
    traffic = Traffic()
    for status, seconds in answers:
        traffic.add(status, seconds)
    return traffic


class TestTraffic:
    def test_errors_are_those_of_the_server_and_shedding_is_told_apart(self) -> None:
        traffic = of((200, 0.1), (400, 0.1), (404, 0.1), (429, 0.1), (499, 0.1), (500, 0.1), (503, 0.1))
        assert (traffic.count, traffic.errors, traffic.shed) == (7, 2, 1)

    @pytest.mark.parametrize("percent", [50, 95, 99, 100])
    def test_a_percentile_is_never_too_small_and_a_fifth_too_great_at_most(self, percent: float) -> None:
        chance = random.Random(3)
        took = sorted(chance.lognormvariate(-3, 1.5) for _ in range(1000))
        true = took[int(percent * 10) - 1] * 1000
        told = of(*((200, seconds) for seconds in took)).percentile_ms(percent)
        assert true <= told <= true * 1.2

    def test_what_is_beyond_all_bounds_is_told_as_the_greatest(self) -> None:
        assert of((200, 5000.0)).percentile_ms(99) == round(BOUNDS_MS[-1], 2)

    def test_workers_add_up(self) -> None:
        both = of((200, 0.001), (500, 0.002))
        both.merge(of((429, 4.0)))
        assert both == of((200, 0.001), (500, 0.002), (429, 4.0))


class TestSummary:
    def lines(self, err: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in err.splitlines()]

    def made(self, taken: list[Traffic], times: list[float]) -> Summary:
        return Summary("e", "r", lambda: taken.pop(0), clock=lambda: times.pop(0))

    def test_a_line_tells_of_the_time_since_the_last_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        summary = self.made([of((200, 0.01), (500, 0.01)), of((429, 0.01))], [100.0, 160.0, 172.5])
        summary.write()
        summary.write()
        first, second = self.lines(capsys.readouterr().err)
        assert (first["event"], first["endpoint"], first["replica"]) == ("requests", "e", "r")
        assert (first["count"], first["errors"], first["shed"], first["seconds"]) == (2, 1, 0, 60.0)
        assert (second["count"], second["errors"], second["shed"], second["seconds"]) == (1, 0, 1, 12.5)
        assert first["p95_ms"] == first["p99_ms"] == pytest.approx(10, rel=0.2)

    def test_without_requests_nothing_is_written(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.made([Traffic()], [0.0, 60.0]).write()
        assert capsys.readouterr().err == ""

    def test_it_writes_again_and_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        async def until(is_over: Callable[[], bool]) -> None:
            running = asyncio.create_task(Summary("e", "r", take).run(0.001))
            while not is_over():
                await asyncio.sleep(0)
            running.cancel()

        taken: list[Traffic] = []

        def take() -> Traffic:
            taken.append(of((200, 0.01)))
            return taken[-1]

        asyncio.run(until(lambda: len(taken) >= 3))
        assert len(self.lines(capsys.readouterr().err)) >= 3


class TestWhole:
    def test_the_end_tells_of_what_no_minute_told(self, bench: Bench) -> None:
        """Of both workers; without health checks, and without what is no path of a model."""
        server = serve(bench, 2, "--workers", "2")
        for _ in range(5):
            assert server.predict(ROWS).status == 200
        assert server.ask("POST", "/v1/models/scale:classify", {}).status == 400
        assert server.ask("GET", "/elsewhere").status == 404
        assert server.stop() == 0
        (told,) = server.events("requests")
        assert (told["endpoint"], told["count"], told["errors"], told["shed"]) == ("default", 6, 0, 0)
        assert 0 < told["p95_ms"] <= told["p99_ms"] < 30_000

    def test_a_summary_comes_while_it_serves(self, bench: Bench) -> None:
        server = serve(bench, 2, "--summary-seconds", "0.05")
        assert server.predict(ROWS).status == 200
        wait_for(lambda: server.events("requests"))
        assert server.stop() == 0
        assert sum(event["count"] for event in server.events("requests")) == 1

    def test_a_killed_worker_leaves_what_it_had_told(self, bench: Bench) -> None:
        server = serve(bench, 2, "--summary-seconds", "0.05")
        assert server.predict(ROWS).status == 200
        wait_for(lambda: server.events("requests"))
        os.kill(server.workers[0], signal.SIGKILL)
        wait_for(lambda: len(server.workers) == 2)
        assert server.predict(ROWS).status == 200
        assert server.stop() == 0
        assert sum(event["count"] for event in server.events("requests")) == 2
