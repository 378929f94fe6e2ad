"""Models beside each other: one that is slow, or stuck in its queue, holds no other up."""

from __future__ import annotations

import threading
import time

from tests.serving import onnx_models
from tests.serving.library.conftest import Shelf
from tests.serving.whole import ROWS, seconds_of_slow


def test_a_slow_model_holds_no_request_of_another(shelf: Shelf) -> None:
    shelf.put("slow", 1, onnx_models.slow())
    shelf.scale("quick", 1, 2)
    server = shelf.serve("slow", "quick")
    amount = seconds_of_slow(server, 1.0)
    slow: list[int] = []
    threads = [
        threading.Thread(target=lambda: slow.append(server.predict([[amount]], "slow").status)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    answered, longest = 0, 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        assert server.predict(ROWS, "quick").status == 200
        longest = max(longest, time.monotonic() - began)
        answered += 1
    assert slow == [200] * 4
    assert answered >= 10, (answered, longest)


def test_a_full_queue_refuses_its_own_model_alone(shelf: Shelf) -> None:
    shelf.put("slow", 1, onnx_models.slow())
    shelf.scale("quick", 1, 2)
    server = shelf.serve("slow", "quick", options=("--queue-rows", "2", "--max-batch-rows", "1"))
    amount = seconds_of_slow(server, 1.0)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(server.predict([[amount]], "slow").status)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert server.predict(ROWS, "quick").status == 200
    assert {200, 429} == set(statuses)
    page = server.ask("GET", "/metrics").body.decode()
    assert 'skylift_shed_total{reason="queue_full"}' in page
