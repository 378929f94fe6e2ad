"""API keys: who is let in, to what, how often; and how keys change under a running server."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from serving.guard import guard as guard_module
from serving.guard.guard import open_guard
from serving.guard.refusals import AccessError
from serving.guard.sources import FileSource, check
from serving.http.status import refusal
from serving.interface import Code
from skylift.errors import InputError


def refused(desk, guard, token, *args, **more) -> AccessError:
    with pytest.raises(AccessError) as caught:
        desk.ask(guard, token, *args, **more)
    return caught.value


def test_a_key_opens_and_says_who_asks(desk):
    token = desk.add("shop")
    desk.add("other")
    who = desk.ask(desk.guard(), token)
    assert (who.name, who.kind) == ("shop", "key")


def test_both_headers_are_read_and_the_one_of_our_own_wins(desk):
    good, guard = desk.add(), desk.guard()
    about = {"model": "m", "verb": "predict", "now": desk.clock.ticks}
    assert guard.check({b"x-api-key": good.encode()}, **about).name == "app"
    assert guard.check({b"x-api-key": good.encode(), b"authorization": b"AWS4-HMAC-SHA256 x"}, **about).name == "app"
    with pytest.raises(AccessError):
        guard.check({b"x-api-key": b"wrong", b"authorization": b"Bearer " + good.encode()}, **about)


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.swapcase(), lambda t: "skylift_"])
def test_what_is_nearly_a_key_is_no_key(desk, change):
    token = desk.add()
    error = refused(desk, desk.guard(), change(token))
    assert error.code is Code.UNAUTHENTICATED
    assert refusal(error).extra == b'WWW-Authenticate: Bearer realm="skylift", error="invalid_token"\r\n'


def test_who_sends_nothing_is_told_how(desk):
    error = refused(desk, desk.guard(), None)
    assert error.code is Code.UNAUTHENTICATED and "X-API-Key" in error.message
    assert refusal(error).extra == b'WWW-Authenticate: Bearer realm="skylift"\r\n'


@pytest.mark.parametrize(
    ("verbs", "models", "verb", "model", "may"),
    [
        (["predict"], [], "predict", "mnist", True),
        (["predict"], [], "metadata", "mnist", False),
        (["predict"], ["mnist", "text-*"], "predict", "text-small", True),
        (["predict"], ["mnist", "text-*"], "predict", "mnist2", False),
        (["predict"], ["mnist", "text-*"], "predict", "MNIST", False),
        (["predict"], ["mnist"], "predict", "mnist\n", False),
        (["predict"], ["mnist"], "predict", "", False),
        (["metadata"], ["mnist"], "metadata", "", True),
        (["admin"], ["mnist"], "admin", "", False),
        (["admin"], ["mnist"], "admin", "mnist", True),
        (["admin"], [], "admin", "", True),
    ],
)
def test_a_key_may_what_its_entry_says(desk, verbs, models, verb, model, may):
    token = desk.add(verbs=verbs, models=models)
    guard = desk.guard()
    for _ in range(2):  # the second time from memory
        if may:
            desk.ask(guard, token, model, verb)
        else:
            error = refused(desk, guard, token, model, verb)
            assert error.code is Code.PERMISSION_DENIED
            assert b"insufficient_scope" in refusal(error).extra


def test_a_key_ends_when_its_entry_says(desk):
    ends = datetime.fromtimestamp(desk.clock.wall(), UTC) + timedelta(seconds=10)
    token, guard = desk.add(expires=ends), desk.guard()
    desk.clock.ticks += 9.9
    desk.ask(guard, token)
    desk.clock.ticks += 0.2
    assert "expired" in refused(desk, guard, token).message


def test_a_clock_that_was_set_right_counts_from_the_next_look(desk):
    ends = datetime.fromtimestamp(desk.clock.wall(), UTC) + timedelta(hours=1)
    token, guard = desk.add(expires=ends), desk.guard()
    desk.clock.ahead += 7200
    asyncio.run(guard.look())
    refused(desk, guard, token)


def test_more_than_the_rate_is_told_when_to_come_back(desk):
    token, guard = desk.add(rate=2, burst=3), desk.guard()
    for _ in range(3):
        desk.ask(guard, token)
    error = refused(desk, guard, token)
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert error.retry_after == pytest.approx(0.5)
    assert refusal(error).extra == b"Retry-After: 1\r\n"
    desk.clock.ticks += error.retry_after
    desk.ask(guard, token)
    refused(desk, guard, token)
    desk.clock.ticks += 1000
    for _ in range(3):
        desk.ask(guard, token)
    refused(desk, guard, token)


def test_what_is_not_allowed_costs_no_share_of_the_rate(desk):
    token, guard = desk.add(rate=1, models=["mine"]), desk.guard()
    for _ in range(5):
        assert refused(desk, guard, token, "yours").code is Code.PERMISSION_DENIED
    desk.ask(guard, token, "mine")


def test_keys_do_not_take_each_others_share_and_workers_share_one_rate(desk):
    one, other = desk.add("one", rate=8, burst=8), desk.add("other", rate=8, burst=8)
    guards = [desk.guard(workers=4) for _ in range(4)]
    for guard in guards:
        for _ in range(2):
            desk.ask(guard, one)
        assert refused(desk, guard, one).retry_after == pytest.approx(0.5)
        desk.ask(guard, other)


def test_a_new_document_counts_without_a_restart(desk, events):
    old, guard = desk.add("old", rate=1, burst=2), desk.guard()
    desk.ask(guard, old)
    new = desk.add("new")
    refused(desk, guard, new)
    asyncio.run(guard.look())
    assert desk.ask(guard, new).name == "new"
    desk.ask(guard, old)  # and not more than was left of its burst
    assert refused(desk, guard, old).code is Code.RESOURCE_EXHAUSTED
    desk.revoke("old")
    asyncio.run(guard.look())
    assert refused(desk, guard, old).code is Code.UNAUTHENTICATED
    assert [event["keys"] for event in events() if event["event"] == "access_read"] == [1, 2, 1]


def test_a_broken_document_changes_nothing_and_is_told_once(desk, events):
    token, guard = desk.add(), desk.guard()
    events()
    desk.path.write_bytes(b'{"schema": 1, "salt": "00", "keys": [{}]}')
    for _ in range(3):
        asyncio.run(guard.look())
        desk.ask(guard, token)
    told = events()
    assert [event["event"] for event in told] == ["access_not_read"]
    assert told[0]["keeps"] is True and "salt" in told[0]["error"]
    desk.path.unlink()
    asyncio.run(guard.look())
    desk.ask(guard, token)
    other = desk.add("other")
    asyncio.run(guard.look())
    desk.ask(guard, other)


def test_until_the_document_is_read_nobody_gets_in(desk):
    token = desk.add()
    desk.path.rename(desk.path.with_suffix(".away"))
    guard = desk.guard()
    for sent in (token, None):
        error = refused(desk, guard, sent)
        assert error.code is Code.UNAVAILABLE and error.retry_after
    desk.write()
    asyncio.run(guard.look())
    desk.ask(guard, token)


def test_a_secret_mounted_by_kubernetes_is_seen_to_change(desk, tmp_path):
    """It exchanges a link to a folder: the file's own path stays, its inode does not."""
    first = desk.add("first")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "keys").write_bytes(desk.path.read_bytes())
    (tmp_path / "data").symlink_to("one")
    guard = open_guard(str(tmp_path / "data" / "keys"))
    assert guard is not None
    asyncio.run(guard.look())
    desk.ask(guard, first)
    desk.revoke("first")
    second = desk.add("second")
    (tmp_path / "two" / "keys").write_bytes(desk.path.read_bytes())
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "data")
    asyncio.run(guard.look())
    desk.ask(guard, second)
    refused(desk, guard, first)


def test_the_guard_goes_on_looking_by_itself(desk, monkeypatch):
    monkeypatch.setattr(FileSource, "seconds", 0.001)

    async def run() -> None:
        guard = desk.new_guard()
        task = asyncio.create_task(guard.refresh())
        token = desk.add()
        async with asyncio.timeout(10):
            while True:
                try:
                    desk.ask(guard, token)
                    break
                except AccessError:
                    await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_without_configuration_there_is_no_guard(desk):
    assert open_guard("") is None
    assert open_guard(desk.path.as_uri()) is not None


@pytest.mark.parametrize("where", ["https://example.org/keys", "ftp://x/y", "s3://bucket/keys", "nowhere/access.json"])
def test_a_place_that_cannot_be_is_an_error_at_start(where):
    with pytest.raises(InputError) as caught:
        check(where)
    assert where in caught.value.message and caught.value.hint


def test_hashes_are_compared_in_constant_time_for_known_and_unknown_keys_alike(desk, monkeypatch):
    token, guard = desk.add(), desk.guard()
    compared: list[tuple[bytes, bytes]] = []

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    assert guard_module.compare_digest is hmac.compare_digest
    monkeypatch.setattr(guard_module, "compare_digest", watched)
    desk.ask(guard, token)
    refused(desk, guard, "skylift_unknown")
    assert [(len(one), len(other)) for one, other in compared] == [(32, 32), (32, 32)]


def test_no_token_is_in_a_log_an_error_the_document_or_what_is_told_of_a_principal(desk, capfd):
    token, guard = desk.add(rate=1, models=["mine"]), desk.guard()
    secret = token.removeprefix("skylift_")
    texts = [repr(desk.ask(guard, token, "mine")), repr(guard), desk.path.read_text()]
    for sent, model in ((token, "mine"), (token, "other"), (token[:-1], "mine"), (f"{token} {token}", "mine")):
        error = refused(desk, guard, sent, model)
        texts += [str(error), error.message, repr(error), refusal(error).extra.decode()]
    desk.path.write_text(json.dumps({"schema": 1, "salt": "0" * 32, "keys": [{"token": token, "sha256": token}]}))
    asyncio.run(guard.look())
    with pytest.raises(InputError) as caught:
        check(str(desk.path))
    texts += [str(caught.value.to_dict()), *capfd.readouterr()]
    assert "access_not_read" in texts[-1]
    assert all(secret[:-1] not in text for text in texts)


def test_what_clients_name_does_not_fill_the_memory(desk):
    token, guard = desk.add(models=["*"]), desk.guard()
    for number in range(3000):
        who = desk.ask(guard, token, f"model-{number}")
    assert len(who.allowed) <= 1024
