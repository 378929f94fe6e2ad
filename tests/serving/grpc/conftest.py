"""A server of gRPC for each test that asks, by the library and by our own HTTP/2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.grpc.line_models import Running, by_library, by_wire, running


@pytest.fixture(params=[by_library, by_wire])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(request.param) as run:
        yield run
