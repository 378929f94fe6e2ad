"""The access document: what it may hold, and that every mistake in one is told."""

from __future__ import annotations

import json

import msgspec
import pytest

from skylift.artifacts import access, records
from skylift.errors import InputError

KEY = {"id": "00000001", "name": "a", "sha256": "0" * 64, "created": "2026-01-01T00:00:00Z"}
ISSUER = {"issuer": "https://example.org", "audiences": ["a"], "grants": [{"scope": "predict"}]}
CERTIFICATE = {"name": "c", "match": ["CN=c"]}


def read(**parts):
    return access.decode(json.dumps({"schema": 1, "salt": "0" * 32, **parts}).encode(), "access.json")


def refused(**parts):
    with pytest.raises(InputError) as caught:
        read(**parts)
    return caught.value


def test_what_is_written_is_read_and_defaults_are_narrow():
    document = access.empty()
    token, key = access.new_key(document, "a")
    document = msgspec.structs.replace(document, keys=(key,))
    assert access.decode(records.encode(document), "") == document
    assert key.verbs == ("predict", "metadata") and token not in records.encode(document).decode()
    whole = read(keys=[KEY], issuers=[ISSUER], certificates=[CERTIFICATE])
    assert whole.issuers[0].algorithms == access.ALGORITHMS
    assert not any(name.startswith("HS") or name == "none" for name in access.ALGORITHMS)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"keys": [{**KEY, "modles": ["x"]}]}, "keys[0]: Object contains unknown field `modles`"),
        ({"kyes": []}, "unknown field `kyes`"),
        ({"schema": 2}, "schema 2"),
        ({"salt": "00"}, "salt"),
        ({"keys": [{**KEY, "sha256": "skylift_x"}]}, "keys[0].sha256"),
        ({"keys": [{**KEY, "verbs": []}]}, "keys[0].verbs"),
        ({"keys": [{**KEY, "verbs": ["delete"]}]}, "keys[0].verbs[0]"),
        ({"keys": [{**KEY, "rate": 0}]}, "keys[0].rate"),
        ({"keys": [{**KEY, "burst": 5}]}, "without a rate"),
        ({"keys": [{**KEY, "expires": "2027-01-01T00:00:00"}]}, "no time zone"),
        ({"keys": [{**KEY, "name": "a\nb"}]}, "keys[0].name"),
        ({"keys": [KEY, {**KEY, "sha256": "1" * 64}]}, "id of keys is there twice"),
        ({"keys": [KEY, {**KEY, "id": "00000002"}]}, "hash of keys is there twice"),
        ({"issuers": [{**ISSUER, "issuer": "http://example.org"}]}, "not https"),
        ({"issuers": [{**ISSUER, "issuer": "https://u:p@example.org"}]}, "no URL such as"),
        ({"issuers": [{**ISSUER, "issuer": "https://["}]}, "no URL"),
        ({"issuers": [{**ISSUER, "algorithms": ["HS256"]}]}, "issuers[0].algorithms[0]"),
        ({"issuers": [{**ISSUER, "audiences": []}]}, "issuers[0].audiences"),
        ({"issuers": [{**ISSUER, "grants": []}]}, "issuers[0].grants"),
        ({"issuers": [ISSUER, ISSUER]}, "issuer is there twice"),
        ({"certificates": [{**CERTIFICATE, "match": ["example.org"]}]}, "certificates[0].match[0]"),
        ({"certificates": [CERTIFICATE, CERTIFICATE]}, "name of certificates is there twice"),
    ],
)
def test_a_mistake_is_named_with_its_place(parts, said):
    error = refused(**parts)
    assert said in error.message and error.message.startswith("access.json")


def test_all_mistakes_are_told_at_once():
    error = refused(keys=[{**KEY, "rate": -1}, {**KEY, "models": "x"}], issuers=[{"issuer": "x"}])
    assert len(error.details["mistakes"]) == 3 and error.hint


def test_an_issuer_on_this_machine_may_do_without_tls():
    assert read(issuers=[{**ISSUER, "issuer": "http://127.0.0.1:9000/realm"}]).issuers
