"""Many models from folders: versions, labels, failures, loading and unloading, as clients see it."""

from __future__ import annotations

import threading

import psutil
import pytest

from tests.serving import onnx_models
from tests.serving.conftest import Server
from tests.serving.library.conftest import Shelf
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS


def first(server: Server, model: str, path: str = "") -> float | None:
    answer = server.ask("POST", f"/v1/models/{model}{path}:predict", {"instances": ROWS})
    return answer.json()["predictions"][0][0] if answer.status == 200 else None


def states(server: Server, model: str) -> dict[str, str]:
    found = server.ask("GET", f"/v1/models/{model}").json()["model_version_status"]
    return {one["version"]: one["state"] for one in found}


def test_models_answer_beside_each_other_each_by_its_newest_version(shelf: Shelf) -> None:
    shelf.scale("a", 1, 2)
    shelf.scale("a", 9, 3)
    shelf.scale("a", 10, 4)
    shelf.scale("b", 1, 5)
    server = shelf.serve("a", "b")
    assert (first(server, "a"), first(server, "b")) == (4, 5)
    assert first(server, "a", "/versions/9") is None
    assert server.ask("GET", "/v1/models/c").status == 404
    assert server.predict(ROWS, model="c").json() == {"error": "Servable not found for request: Latest(c)"}


def test_a_new_version_takes_over_without_a_failed_request(shelf: Shelf) -> None:
    shelf.scale("a", 1, 2)
    server = shelf.serve("a")
    seen: list[float | None] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.append(first(server, "a"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(2, 6):
        shelf.scale("a", version, version + 1)
        wait_for(lambda version=version: seen and seen[-1] == version + 1)
    stop.set()
    for thread in threads:
        thread.join()
    assert None not in seen
    assert states(server, "a")["5"] == "AVAILABLE"


def test_a_bad_version_never_replaces_a_good_one(shelf: Shelf) -> None:
    shelf.scale("a", 1, 2)
    server = shelf.serve("a")
    shelf.put("a", 2, onnx_models.impossible())
    wait_for(lambda: states(server, "a").get("2") == "END")
    assert first(server, "a") == 2
    answer = server.ask("GET", "/v1/models/a/versions/2").json()["model_version_status"][0]
    assert answer["status"]["error_code"] != "OK"
    assert "ONNX Runtime cannot load" in answer["status"]["error_message"]
    assert server.ask("GET", "/readyz").status == 200


def test_an_upload_that_has_not_ended_is_not_taken_and_says_so(shelf: Shelf) -> None:
    shelf.scale("a", 1, 2)
    server = shelf.serve("a")
    whole = onnx_models.scale(3)
    place = shelf.put("a", 2, whole[: len(whole) // 2]) / "model.onnx"
    wait_for(lambda: states(server, "a").get("2") == "START")
    assert server.ask("GET", "/v1/models/a/versions/2").json()["model_version_status"][0]["status"]["error_message"]
    assert first(server, "a") == 2
    place.write_bytes(whole)
    wait_for(lambda: first(server, "a") == 3)


def test_a_bad_model_does_not_keep_the_others_from_being_ready(shelf: Shelf) -> None:
    shelf.scale("good", 1, 2)
    shelf.put("bad", 1, onnx_models.impossible())
    server = shelf.serve("good", "bad", "missing")
    assert first(server, "good") == 2
    assert states(server, "bad") == {"1": "END"}
    assert server.ask("GET", "/v2/models/bad/ready").status == 503
    shelf.scale("missing", 3, 7)
    wait_for(lambda: first(server, "missing") == 7)


def test_versions_and_labels_as_the_configuration_says(shelf: Shelf) -> None:
    for version in (1, 2, 3):
        shelf.scale("a", version, version)
        shelf.scale("b", version, version * 10)
    config = shelf.folder / "models.config"
    config.write_text(
        f"""
        model_config_list {{
          config {{ name: "a" base_path: "{shelf.folder}/a" model_platform: "onnx"
            model_version_policy {{ specific {{ versions: 1 versions: 3 }} }}
            version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "next" value: 3 }} }}
          config {{ name: "b" base_path: "{shelf.folder}/b" model_version_policy {{ all {{}} }} }}
        }}"""
    )
    server = shelf.start("--port", "0", "--models", str(config), "--poll-seconds", "0.2")
    server.wait_ready()
    assert (first(server, "a"), first(server, "a", "/labels/stable"), first(server, "a", "/labels/next")) == (3, 1, 3)
    assert (first(server, "a", "/versions/2"), first(server, "b", "/versions/2")) == (None, 20)
    answer = server.ask("POST", "/v1/models/a/labels/none:predict", {"instances": ROWS})
    assert (answer.status, answer.json()) == (400, {"error": "Unrecognized servable version label: none"})
    config.write_text(config.read_text().replace('key: "next" value: 3', 'key: "next" value: 1').replace('"b"', '"c"'))
    wait_for(lambda: first(server, "a", "/labels/next") == 1)
    wait_for(lambda: first(server, "c") == 30)
    wait_for(lambda: first(server, "b") is None)
    config.write_text("model_config_list { config { nme: 1 } }")
    wait_for(lambda: server.events("models_file_not_taken"))
    assert first(server, "a") == 3


def test_models_are_unloaded_and_loaded_by_request(shelf: Shelf) -> None:
    shelf.scale("a", 1, 2)
    server = shelf.serve("a", options=("--workers", "2"))
    assert server.ask("POST", "/v2/repository/models/a/unload", {}).status == 200
    assert first(server, "a") is None
    index = server.ask("POST", "/v2/repository/index", {}).json()
    assert index == [{"name": "a", "version": "1", "state": "UNAVAILABLE", "reason": ""}]
    assert server.ask("POST", "/v2/repository/index", {"ready": True}).json() == []
    assert server.ask("POST", "/v2/repository/models/a/load", {}).status == 200
    assert first(server, "a") == 2
    answer = server.ask("POST", "/v2/repository/models/none/load", {})
    assert (answer.status, answer.json()["error"]) == (404, "there is no model 'none'; configured: a")


def test_a_model_that_fails_to_load_by_request_says_why(shelf: Shelf) -> None:
    shelf.put("bad", 1, onnx_models.impossible())
    server = shelf.serve("bad")
    answer = server.ask("POST", "/v2/repository/models/bad/load", {})
    assert answer.status >= 400
    assert "ONNX Runtime cannot load" in answer.json()["error"]


def test_a_server_of_an_endpoint_refuses_to_change_its_models(shelf: Shelf) -> None:
    (shelf.folder / "keep").mkdir()
    server = shelf.start("--port", "0", "--endpoint", f"file://{shelf.folder}/keep/endpoints/default")
    answer = server.ask("POST", "/v2/repository/models/a/load", {})
    assert (answer.status, "skylift deploy" in answer.json()["error"]) == (400, True)


@pytest.mark.slow
def test_a_hundred_models_fit_into_four_hundred_megabytes(shelf: Shelf) -> None:
    weights = onnx_models.weights(250_000)  # 1 MB
    for number in range(100):
        shelf.put(f"m{number}", 1, weights)
    server = shelf.serve(*(f"m{number}" for number in range(100)))
    for number in range(100):
        answer = server.ask("POST", f"/v1/models/m{number}:predict", {"instances": [1.0]})
        assert answer.status == 200, answer.body
    assert psutil.Process(server.workers[-1]).memory_info().rss <= 400 * 2**20


@pytest.mark.slow
def test_a_hundred_reloads_give_their_memory_back(shelf: Shelf) -> None:
    shelf.put("a", 1, onnx_models.weights(1_000_000))
    server = shelf.serve("a")
    worker = psutil.Process(server.workers[-1])

    def reload() -> None:
        assert server.ask("POST", "/v2/repository/models/a/unload", {}).status == 200
        assert server.ask("POST", "/v2/repository/models/a/load", {}).status == 200
        assert server.ask("POST", "/v1/models/a:predict", {"instances": [1.0]}).status == 200

    for _ in range(5):
        reload()
    before = worker.memory_info().rss
    for _ in range(100):
        reload()
    assert worker.memory_info().rss <= 1.1 * before
