"""Malformed messages over real connections: gRPC in this process, HTTP to a real server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.fuzzing_parts import tls_target
from benchmarks.fuzzing_parts.grpc_seeds import all_calls
from benchmarks.fuzzing_parts.grpc_target import Grpc
from benchmarks.fuzzing_parts.openapi_target import OpenApi
from benchmarks.fuzzing_parts.sockets_target import Sockets

SEED = int(os.environ.get("SKYLIFT_FUZZ_SEED", "1"))
QUICK, CALLS, EXCHANGES = 1_500, 20_000, 2_600


def _check(failures: list[str]) -> None:
    assert not failures, "\n\n".join(failures[:5])


def test_grpc_refuses_or_answers(tmp_path: Path) -> None:
    done = Grpc(tmp_path, SEED).run(QUICK)
    _check(done.failures)
    assert done.methods.keys() == {call.path.rpartition("/")[2] for call in all_calls()}
    assert done.codes["OK"] > QUICK / 10 and done.codes["INVALID_ARGUMENT"] > QUICK / 4


@pytest.mark.slow
def test_grpc_by_the_thousand(tmp_path: Path) -> None:
    _check(Grpc(tmp_path, SEED).run(CALLS, first=QUICK).failures)


@pytest.mark.slow
def test_three_thousand_odd_exchanges_with_a_real_server(tmp_path: Path) -> None:
    done = Sockets(tmp_path, SEED).run(EXCHANGES)
    _check(done.failures)
    assert done.exchanges >= 3_000
    assert done.slowest < 10.0


@pytest.mark.slow
def test_a_port_of_tls_outlives_what_is_none(tmp_path: Path) -> None:
    _check(tls_target.run(tmp_path, SEED, 200))


@pytest.mark.slow
def test_the_description_of_a_server_is_kept(tmp_path: Path) -> None:
    done = OpenApi(tmp_path, SEED).run(4)
    _check(done.failures)
    assert done.operations > 50 and done.statuses[200] > 20 and done.statuses[400] > 20
