"""A server of gRPC for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.grpc.line_models import Running, running


@pytest.fixture
def server() -> Iterator[Running]:
    with running() as run:
        yield run
