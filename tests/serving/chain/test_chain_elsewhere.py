"""A chain whose parts are computed by other servers: ordinary endpoints, each on a port of its own."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from serving.backends.remote import RemoteBackend
from skylift.artifacts import access, records
from skylift.artifacts.records import ModelRef
from tests.serving import onnx_models
from tests.serving.chain.chained import (
    ROWS,
    check,
    deploy,
    expected,
    publish_chain,
    publish_part,
    publish_parts,
    serve_part,
    start,
    url,
)
from tests.serving.conftest import Bench, Server
from tests.serving.guard.certificates_made import Authority
from tests.serving.waiting import wait_for

pytestmark = pytest.mark.slow
MODEL = "digits-in3"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def deploy_chain(bench: Bench) -> list[ModelRef]:
    parts = publish_parts(bench)
    deploy(bench, "front", publish_chain(bench, parts))
    return parts


def status_of(server: Server) -> int:
    answer = server.try_ask("POST", f"/v1/models/{MODEL}:predict", {"instances": ROWS.tolist()}, timeout=10)
    return answer.status if answer is not None else 0


@contextmanager
def load(server: Server, clients: int = 6) -> Iterator[list[str]]:
    """Clients that ask all the time, each other rows; what went wrong."""
    wrong: list[str] = []
    answered = [0] * clients
    over = threading.Event()

    def ask(number: int) -> None:
        chance = np.random.default_rng(number)
        while not over.is_set():
            rows = chance.random((int(chance.integers(1, 9)), 3), np.float32)
            try:
                check(server, rows)
            except (AssertionError, OSError, http.client.HTTPException) as error:
                wrong.append(f"{type(error).__name__}: {error}")
            answered[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: min(answered) > 3, what="answers")
        yield wrong
        before = list(answered)
        wait_for(lambda: all(now > then + 3 for now, then in zip(answered, before, strict=True)), what="more answers")
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


class TestThreeServers:
    def test_many_at_once_get_what_the_uncut_model_gives(self, bench: Bench) -> None:
        parts = deploy_chain(bench)
        second, third = serve_part(bench, parts[1]), serve_part(bench, parts[2])
        front = start(bench, "front", "--part", f"2={url(second)}", "--part", f"3={url(third)}")
        front.wait_ready()
        with load(front, 12) as wrong:
            pass
        assert not wrong
        answer = front.ask("GET", f"/v2/models/{MODEL}").json()
        assert answer["platform"] == "skylift_chain"
        assert [one["name"] for one in answer["outputs"]] == ["root", "y"]
        assert front.stop() == 0

    def test_it_is_not_ready_until_the_other_answers(self, bench: Bench) -> None:
        parts = deploy_chain(bench)
        port = free_port()
        front = start(bench, "front", "--part", f"2=http://127.0.0.1:{port}")
        wait_for(lambda: front.events("deployment_failed"), what="a first attempt")
        (failed, *_) = front.events("deployment_failed")
        assert failed["kind"] == "unreachable" and "digits-part2of3" in failed["message"]
        assert front.ask("GET", "/readyz").status == 503
        refused = front.predict(ROWS.tolist(), model=MODEL)
        assert refused.status == 503 and refused.headers["Retry-After"]
        serve_part(bench, parts[1], "--port", str(port))
        front.wait_ready()
        check(front)

    def test_the_other_killed_and_back(self, bench: Bench) -> None:
        parts = deploy_chain(bench)
        second = serve_part(bench, parts[1])
        front = start(bench, "front", "--part", f"2={url(second)}")
        front.wait_ready()
        check(front)
        second.process.kill()
        second.process.wait()
        refused = front.predict(ROWS.tolist(), model=MODEL)
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "digits-part2of3" in refused.json()["error"]
        assert front.ask("GET", "/readyz").status == 200
        # A worker that comes now answers, too, though it cannot ask the other what it takes.
        signalled = front.workers[-1]
        _kill(signalled)
        wait_for(lambda: len(front.workers) > 1, what="a successor")
        wait_for(lambda: status_of(front) == 503, what="an answer of the successor's")
        serve_part(bench, parts[1], "--port", str(second.port))
        wait_for(lambda: status_of(front) == 200, 40, what="answers again")
        check(front)

    def test_a_replica_of_a_part_drains_and_no_request_fails(self, bench: Bench) -> None:
        parts = deploy_chain(bench)
        one, other = (serve_part(bench, parts[1]) for _ in range(2))
        front = start(bench, "front", "--part", f"2={url(one, other)}")
        front.wait_ready()
        with load(front) as wrong:
            for leaving in (one, other):
                assert leaving.stop() == 0
                if leaving is one:
                    one = serve_part(bench, parts[1], "--port", str(leaving.port))
                    wait_for(lambda: _answered(one) > 3, 40, what="the one that came back is asked again")  # noqa: B023
        assert not wrong

    def test_a_replica_of_a_part_is_killed_under_load(self, bench: Bench) -> None:
        """What it was computing is asked of the other: a server that is gone as a whole was not ended by a request."""
        parts = deploy_chain(bench)
        one, other = (serve_part(bench, parts[1]) for _ in range(2))
        front = start(bench, "front", "--part", f"2={url(one, other)}")
        front.wait_ready()
        with load(front) as wrong:
            one.process.kill()
            one.process.wait()
        assert not wrong


def _kill(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


def _answered(server: Server) -> int:
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    counts = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(":tensorflow:serving:request_count{")]
    return int(sum(map(float, counts)))


class TestDeadlines:
    def test_nobody_waits_longer_for_another_server_than_for_this_one(self, bench: Bench) -> None:
        row = [records.TensorSpec(name="x", dtype="float32", shape=[None, 1])]
        gives = [records.TensorSpec(name="y", dtype="float32", shape=[None, 1])]
        slow = bench.publish(onnx_models.slow(), inputs=row, outputs=gives, name="slow-part1of1")
        chain = _chain_of_one(bench, slow)
        deploy(bench, "front", chain)
        other = serve_part(bench, slow)
        front = start(bench, "front", "--part", f"1={url(other)}", "--request-seconds", "1")
        front.wait_ready()
        began = time.monotonic()
        late = front.predict([[1500.0]], model="slow")
        assert late.status == 504, late.body
        assert time.monotonic() - began < 3
        assert front.predict([[0.0]], model="slow").status in (200, 504, 429)
        wait_for(lambda: front.predict([[0.0]], model="slow").status == 200, 40, what="an answer in time")


def _chain_of_one(bench: Bench, part: ModelRef) -> ModelRef:
    from skylift.artifacts import models

    manifest = models.read_manifest(bench.keep, part)
    folder = bench.folder / "slow-chain"
    folder.mkdir()
    (folder / "sharding.json").write_text("{}")
    whole = msgspec.structs.replace(manifest, formats={}, chain=[part], name="slow")
    made = models.publish(bench.keep, "slow", folder, whole)
    return ModelRef(name=made.name, version=made.version, digest=made.digest)


class TestKeys:
    def test_a_part_behind_keys_is_shown_one_from_a_file(self, bench: Bench, tmp_path: Path) -> None:
        parts = deploy_chain(bench)
        document = access.empty()
        token, entry = access.new_key(document, "front")
        keys, key = tmp_path / "keys.json", tmp_path / "key"
        keys.write_bytes(records.encode(msgspec.structs.replace(document, keys=(entry,))))
        key.write_text("sky_not-the-one\n")
        second = serve_part(bench, parts[1], "--access", str(keys))
        front = start(bench, "front", "--part", f"2={url(second)}", "--part-key-file", str(key))
        wait_for(lambda: front.events("deployment_failed"), what="a first attempt")
        (failed, *_) = front.events("deployment_failed")
        assert "answers 401" in failed["message"] and "--part-key-file" in failed["hint"]
        key.write_text(f"{token}\n")
        front.wait_ready(40)
        check(front)
        assert token not in front.log.read_text()
        command = Path(f"/proc/{front.workers[-1]}/cmdline").read_bytes()
        assert token.encode() not in command

    def test_or_one_from_the_environment(self, bench: Bench, tmp_path: Path) -> None:
        parts = deploy_chain(bench)
        document = access.empty()
        token, entry = access.new_key(document, "front")
        keys = tmp_path / "keys.json"
        keys.write_bytes(records.encode(msgspec.structs.replace(document, keys=(entry,))))
        second = serve_part(bench, parts[1], "--access", str(keys))
        front = start(bench, "front", "--part", f"2={url(second)}", env={"SKYLIFT_API_KEY": token})
        front.wait_ready()
        check(front)


class TestReleases:
    def test_a_new_chain_is_released_while_both_versions_of_a_part_are_served(self, bench: Bench) -> None:
        """The part's new version first as a canary without requests: it answers whoever names it."""
        parts = deploy_chain(bench)
        second = serve_part(bench, parts[1], endpoint="part2")
        front = start(bench, "front", "--part", f"2={url(second)}")
        front.wait_ready()
        changed = onnx_models.model(
            [
                onnx_models.helper.make_node("Sub", ["double", "square"], ["less"]),
                onnx_models.helper.make_node("Neg", ["less"], ["root"]),
            ],
            [onnx_models.value(name, onnx_models.FLOAT, ["rows", 3]) for name in ("square", "double")],
            [onnx_models.value("root", onnx_models.FLOAT, ["rows", 3])],
        )
        newer = publish_part(bench, parts[1].name, 2, changed, {"square": 1, "double": 1}, ["root"])
        assert newer.version == 2
        from skylift.artifacts import endpoints
        from skylift.artifacts.records import Canary

        with load(front) as wrong:
            endpoints.deploy(bench.keep, "part2", parts[1], by="t", canary=Canary(model=newer, weight=0.0))
            wait_for(lambda: len(second.events("serving")) >= 3, what="both versions of the part")
            deploy(bench, "front", publish_chain(bench, [parts[0], newer, parts[2]], why="new"))
            wait_for(lambda: len(front.events("serving")) >= 2, what="the new chain")
            endpoints.deploy(bench.keep, "part2", newer, by="t")
            wait_for(lambda: len(second.events("serving")) >= 4, what="the new part alone")
        assert not wrong
        np.testing.assert_array_equal(
            np.array([row["y"] for row in front.predict(ROWS.tolist(), model=MODEL).json()["predictions"]], np.float32),
            expected(ROWS)["y"],
        )


class TestEncrypted:
    def test_a_part_by_tls_with_an_authority_of_ones_own(
        self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts = deploy_chain(bench)
        deploy(bench, "part2", parts[1])
        authority = Authority()
        cert, key = authority.server().write(tmp_path, "server")
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        second = start(bench, "part2", "--tls-cert", str(cert), "--tls-key", str(key))
        address = f"https://localhost:{second.port}"
        stranger = start(bench, "front", "--part", f"2={address}")
        wait_for(lambda: stranger.events("deployment_failed"), 40, what="a refusal")
        assert "CERTIFICATE_VERIFY_FAILED" in stranger.events("deployment_failed")[-1]["message"]
        assert stranger.ask("GET", "/readyz").status == 503
        front = start(bench, "front", "--part", f"2={address}", env={"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
        front.wait_ready(40)
        check(front)
        assert not front.events("parts_unencrypted")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        backend = RemoteBackend([address], parts[1].name, 1)
        used = set()
        for _ in range(4):
            backend.run("serving_default", {"double": ROWS, "square": ROWS})
            used |= {id(connection) for connection, _ in backend._addresses.all[0]._idle}
        backend.close()
        assert len(used) == 1, "the connection stays open"
