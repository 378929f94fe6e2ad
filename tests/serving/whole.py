"""What tests of the whole server share."""

from __future__ import annotations

import time

from skylift.artifacts.records import ModelRef
from skylift.artifacts.records import TensorSpec as Spec
from tests.serving import onnx_models
from tests.serving.conftest import Bench, Server

ROWS = [[1, 2, 3]]


def serve(bench: Bench, factor: float, *options: str) -> Server:
    """A server that answers with a first deployment."""
    bench.deploy(bench.publish_scale(factor))
    server = bench.start(*options)
    server.wait_ready()
    return server


def answers(server: Server, first: float) -> bool:
    answer = server.try_ask("POST", "/v1/models/scale:predict", {"instances": ROWS})
    return answer is not None and answer.status == 200 and answer.json()["predictions"][0][0] == first


def publish_slow(bench: Bench) -> ModelRef:
    row = [Spec(name="x", dtype="float32", shape=[None, 1])]
    return bench.publish(
        onnx_models.slow(), inputs=row, outputs=[Spec(name="y", dtype="float32", shape=[None, 1])], name="slow"
    )


def seconds_of_slow(server: Server, wanted: float) -> int:
    """What to send to the slow model so that it takes about so long [s]."""
    began = time.monotonic()
    assert server.predict([[40]], "slow").status == 200
    return max(40, int(40 * wanted / (time.monotonic() - began)))
