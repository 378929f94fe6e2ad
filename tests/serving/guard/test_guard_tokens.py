"""Tokens of OpenID Connect, given out by a real issuer on loopback."""

from __future__ import annotations

import asyncio
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving.guard import keysets, tokens
from serving.guard.refusals import AccessError
from serving.guard.tokens import PendingError
from serving.interface import Code
from skylift.artifacts.access import ScopeGrant
from tests.serving.guard.issuers import (
    EC,
    EC384,
    EC521,
    ED,
    OTHER_RSA,
    RSA,
    OpenId,
    jwk,
    rsa_key,
    unsigned,
)


@pytest.fixture
def issuer(web):
    return OpenId(web)


class Asking:
    """A guard in its loop, as a worker has it."""

    def __init__(self, desk, issuer, **entry):
        desk.clock.ahead = time.time() - desk.clock.ticks
        desk.trust(issuer.entry(**entry))
        self.desk, self.guard = desk, desk.new_guard()

    async def __aenter__(self):
        await self.guard.look()
        return self

    async def __aexit__(self, *_):
        self.guard._tokens.close()

    async def admit(self, token, model="mnist", verb="predict"):
        headers = {b"authorization": b"Bearer " + token.encode()}
        return await self.guard.admit(headers, model=model, verb=verb, now=self.desk.clock.ticks)

    async def refused(self, token, *args):
        with pytest.raises(AccessError) as caught:
            await self.admit(token, *args)
        assert token not in caught.value.message
        return caught.value


def run(desk, issuer, test, **entry):
    async def inside():
        async with Asking(desk, issuer, **entry) as asking:
            await test(asking)

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (RSA, "RS512"),
        (RSA, "PS256"),
        (RSA, "PS384"),
        (EC, "ES256"),
        (EC384, "ES384"),
        (EC521, "ES512"),
        (ED, "EdDSA"),
    ],
)
def test_a_token_of_a_trusted_issuer_opens(desk, issuer, key, algorithm):
    issuer.publish(jwk(OTHER_RSA, "other"), jwk(key, "one"), {"kty": "oct", "k": "AAAA", "kid": "two"}, "no key")

    async def test(asking):
        who = await asking.admit(issuer.token(key, algorithm))
        assert (who.name, who.kind) == ("ada", "token")
        assert (await asking.admit(issuer.token(key, algorithm))).name == "ada"
        assert issuer.fetches == 1

    run(desk, issuer, test)


BAD = {
    "expired": ({"exp": int(time.time()) - 60}, "has expired"),
    "future": ({"nbf": int(time.time()) + 600}, "not valid yet"),
    "made later": ({"iat": int(time.time()) + 600}, "not valid yet"),
    "other audience": ({"aud": "somebody"}, "another audience"),
    "no audience": ({"aud": None}, "'aud'"),
    "no end": ({"exp": None}, "'exp'"),
    "end is text": ({"exp": "soon"}, "malformed"),
    "end is infinite": ({"exp": float("inf")}, "malformed"),
    "nobody": ({"sub": None}, "'sub'"),
    "nobody by name": ({"sub": ""}, "'sub'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_token_that_is_not_good_now_and_for_us_is_refused(desk, issuer, case):
    changed, said = BAD[case]

    async def test(asking):
        error = await asking.refused(issuer.token(**changed))
        assert error.code is Code.UNAUTHENTICATED and said in error.message
        assert error.challenge.endswith(b'error="invalid_token"')
        assert (await asking.admit(issuer.token())).name == "ada"

    run(desk, issuer, test)


def test_clocks_may_differ_by_the_leeway(desk, issuer):
    async def test(asking):
        await asking.admit(issuer.token(exp=int(time.time()) - 3))
        await asking.admit(issuer.token(nbf=int(time.time()) + 3, sub="b"))

    run(desk, issuer, test)


def _public_pem():
    return RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _hmac_by_hand(issuer, secret):
    """PyJWT refuses to sign with a public key; an attacker does not."""
    import hashlib
    import hmac

    head = unsigned(issuer.claims(), {"alg": "HS256", "kid": "one", "typ": "JWT"})[:-1]
    return f"{head}.{jwt.utils.base64url_encode(hmac.digest(secret, head.encode(), hashlib.sha256)).decode()}"


FORGED = {
    "none": lambda issuer: unsigned(issuer.claims(), {"alg": "none", "kid": "one"}),
    "None": lambda issuer: unsigned(issuer.claims(), {"alg": "nOnE", "kid": "one"}),
    "no algorithm": lambda issuer: unsigned(issuer.claims(), {"kid": "one"}),
    "algorithm is a list": lambda issuer: unsigned(issuer.claims(), {"alg": ["RS256"], "kid": "one"}),
    "public key as secret": lambda issuer: _hmac_by_hand(issuer, _public_pem()),
    "empty secret": lambda issuer: _hmac_by_hand(issuer, b""),
    "signature cut": lambda issuer: issuer.token()[:-4],
    "no signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "another's signature": lambda issuer: issuer.token(OTHER_RSA),
    "claims exchanged": lambda issuer: _exchanged(issuer),
    "its own key": lambda issuer: issuer.token(OTHER_RSA, head={"jwk": jwk(OTHER_RSA, "one")}),
    "its own address": lambda issuer: issuer.token(OTHER_RSA, head={"jku": f"{issuer.web.url}/evil"}),
    "kid is a path": lambda issuer: issuer.token(OTHER_RSA, kid="../../dev/null"),
    "critical header": lambda issuer: issuer.token(head={"crit": ["exp"], "exp": 1}),
    "other issuer": lambda issuer: issuer.token(iss="https://evil.example"),
    "issuer with a slash": lambda issuer: issuer.token(iss=issuer.issuer + "/"),
    "issuer is a list": lambda issuer: unsigned(issuer.claims(iss=[issuer.issuer]), {"alg": "RS256", "kid": "one"}),
    "two parts": lambda issuer: ".".join(issuer.token().split(".")[:2]),
    "four parts": lambda issuer: issuer.token() + ".AAAA",
    "no JSON": lambda issuer: "e30.bm90IGpzb24.AAAA",
    "a list": lambda issuer: "e30.W10.AAAA",
    "deep": lambda issuer: f"e30.{jwt.utils.base64url_encode(b'[' * 9000).decode()}.AAAA",
    "dots": lambda issuer: "....",
}


def _exchanged(issuer):
    head, _, signature = issuer.token().split(".")
    claims = jwt.utils.base64url_encode(json.dumps(issuer.claims(sub="root")).encode()).decode()
    return f"{head}.{claims}.{signature}"


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_token_is_refused(desk, issuer, case):
    async def test(asking):
        await asking.admit(issuer.token())
        error = await asking.refused(FORGED[case](issuer))
        assert error.code is Code.UNAUTHENTICATED
        assert issuer.web.count("/evil") == 0

    run(desk, issuer, test)


def test_keys_that_sign_nothing_or_are_weak_are_passed_over():
    weak = jwk(rsa_key(1024), "a")
    private = {**jwk(RSA, "b"), "d": "AQAB"}
    for one in (
        weak,
        private,
        jwk(RSA, "c", use="enc"),
        jwk(RSA, "d", key_ops=["encrypt"]),
        jwk(RSA, "e", alg="HS256"),
    ):
        assert keysets.usable([one]) == ()
    (bound,) = keysets.usable([jwk(RSA, "f", alg="PS256", key_ops=["verify"])])
    assert bound.algorithms == {"PS256"}


def test_a_token_without_kid_needs_a_set_where_only_one_key_fits(desk, issuer):
    issuer.publish(jwk(RSA, None), jwk(EC, "ec"))

    async def test(asking):
        await asking.admit(issuer.token(kid=None))
        issuer.publish(jwk(RSA, "one"), jwk(OTHER_RSA, "two"))
        asking.desk.clock.ticks += keysets.RENEW_SECONDS
        await asking.guard.look()
        await asyncio.gather(*asking.guard._tokens.renew(asking.desk.clock.ticks))
        await asking.refused(issuer.token(kid=None, sub="again"))

    run(desk, issuer, test)


def test_a_rotated_key_is_fetched_when_it_comes_and_at_most_once_in_a_while(desk, issuer):
    async def test(asking):
        await asking.admit(issuer.token())
        issuer.publish(jwk(RSA, "one"), jwk(EC, "two"))
        asking.desk.clock.ticks += keysets.AGAIN_SECONDS
        new = issuer.token(EC, "ES256", "two")
        assert (await asyncio.gather(*(asking.admit(new) for _ in range(20))))[0].name == "ada"
        assert issuer.fetches == 2
        for number in range(20):
            error = await asking.refused(issuer.token(EC, "ES256", f"unknown-{number}"))
            assert "does not name" in error.message
        assert issuer.fetches == 2
        asking.desk.clock.ticks += keysets.AGAIN_SECONDS
        await asking.refused(issuer.token(EC, "ES256", "unknown"))
        assert issuer.fetches == 3

    run(desk, issuer, test)


def test_who_does_not_wait_for_the_keys_is_asked_to_come_back(desk, issuer):
    async def test(asking):
        issuer.web.gate.clear()
        with pytest.raises(PendingError) as caught:
            asking.desk.ask(asking.guard, issuer.token())
        assert caught.value.code is Code.UNAVAILABLE and caught.value.retry_after
        issuer.web.gate.set()
        await caught.value.fetching
        assert asking.desk.ask(asking.guard, issuer.token()).name == "ada"

    run(desk, issuer, test)


def test_a_key_that_is_taken_back_ends_the_tokens_it_signed(desk, issuer):
    async def test(asking):
        token = issuer.token()
        await asking.admit(token)
        issuer.publish(jwk(OTHER_RSA, "two"))
        asking.desk.clock.ticks += keysets.RENEW_SECONDS
        await asyncio.gather(*asking.guard._tokens.renew(asking.desk.clock.ticks))
        assert "does not name" in (await asking.refused(token)).message

    run(desk, issuer, test)


def test_a_verified_token_is_remembered_until_it_ends(desk, issuer, monkeypatch):
    async def test(asking):
        token = issuer.token(exp=int(time.time()) + 60)
        await asking.admit(token)
        with monkeypatch.context() as patched:
            patched.setattr(jwt, "decode", lambda *_, **__: pytest.fail("verified again"))
            await asking.admit(token)
        asking.desk.clock.ticks += 66
        assert "expired" in (await asking.refused(token)).message

    run(desk, issuer, test)


def test_memory_of_tokens_and_subjects_is_bounded(desk, issuer, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TOKENS", 5)
    monkeypatch.setattr(tokens, "MOST_SUBJECTS", 5)
    issuer.publish(jwk(ED, "one"))

    async def test(asking):
        for number in range(20):
            await asking.admit(issuer.token(ED, "EdDSA", sub=f"s{number}"))
        assert len(asking.guard._tokens._known) == 5
        (inside,) = asking.guard._tokens._issuers.values()
        assert len(inside._buckets) == 5

    run(desk, issuer, test, rate=100.0)


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"scope": "openid predict"}, True),
        ({"scope": ["predict"]}, True),
        ({"scope": "predictor"}, False),
        ({"scope": ""}, False),
        ({"scope": None}, False),
        ({"scope": 7}, False),
        ({"scope": "chief"}, False),
    ],
)
def test_scopes_become_rights(desk, issuer, claims, may):
    grants = (
        ScopeGrant(scope="predict", verbs=("predict",), models=("mnist",)),
        ScopeGrant(scope="chief", verbs=("admin",)),
    )

    async def test(asking):
        token = issuer.token(**claims)
        if may:
            await asking.admit(token)
            assert (await asking.refused(token, "other")).code is Code.PERMISSION_DENIED
            assert (await asking.refused(token, "mnist", "admin")).code is Code.PERMISSION_DENIED
        else:
            assert (await asking.refused(token)).code is Code.PERMISSION_DENIED

    run(desk, issuer, test, grants=grants)


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"hd": "example.org", "groups": ["a", "ml"], "email_verified": True}, True),
        ({"hd": "example.org", "groups": "ml", "email_verified": True}, True),
        ({"hd": "example.com", "groups": ["ml"], "email_verified": True}, False),
        ({"hd": "example.org", "groups": ["a"], "email_verified": True}, False),
        ({"hd": "example.org", "groups": ["ml"], "email_verified": 1}, False),
        ({"hd": "example.org", "groups": ["ml"], "email_verified": "true"}, False),
        ({}, False),
    ],
)
def test_claims_that_are_asked_for_must_be_there(desk, issuer, claims, may):
    wanted = {"hd": "example.org", "groups": ("ml", "ops"), "email_verified": True}

    async def test(asking):
        token = issuer.token(**claims)
        if may:
            await asking.admit(token)
        else:
            assert (await asking.refused(token)).code is Code.UNAUTHENTICATED

    run(desk, issuer, test, claims=wanted)


def test_a_subjects_rate_is_that_of_all_its_tokens(desk, issuer):
    async def test(asking):
        first, second = issuer.token(), issuer.token(jti="2")
        await asking.admit(first)
        await asking.admit(second)
        assert (await asking.refused(first)).code is Code.RESOURCE_EXHAUSTED
        assert (await asking.refused(second)).code is Code.RESOURCE_EXHAUSTED
        await asking.admit(issuer.token(sub="bob"))
        asking.desk.add("new")
        await asking.guard.look()
        assert (await asking.refused(first)).code is Code.RESOURCE_EXHAUSTED

    run(desk, issuer, test, rate=2.0)


def test_an_issuer_that_does_not_answer_is_told_and_asked_again(desk, issuer, events):
    good = dict(issuer.web.answers)
    issuer.web.answers.clear()

    async def test(asking):
        for _ in range(2):
            error = await asking.refused(issuer.token())
            assert error.code is Code.UNAVAILABLE and error.retry_after
        issuer.web.answers.update(good)
        asking.desk.clock.ticks += keysets.AGAIN_SECONDS
        await asking.admit(issuer.token())
        issuer.web.answers.clear()
        asking.desk.clock.ticks += keysets.RENEW_SECONDS
        await asyncio.gather(*asking.guard._tokens.renew(asking.desk.clock.ticks))
        await asking.admit(issuer.token(sub="still"))

    run(desk, issuer, test)
    told = [event["event"] for event in events() if event["event"].startswith("issuer")]
    assert told == ["issuer_unreachable", "issuer_reached", "issuer_unreachable"]


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://example.org/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"jwks_uri": "https://["},
    ],
)
def test_a_discovery_document_that_leads_astray_is_not_followed(desk, issuer, about):
    issuer.about(**about)

    async def test(asking):
        assert (await asking.refused(issuer.token())).code is Code.UNAVAILABLE
        assert issuer.fetches == 0

    run(desk, issuer, test)


@pytest.mark.parametrize(
    "answer",
    [
        (302, b"", {"Location": "/keys2"}),
        (200, b"[]", {}),
        (200, b"{", {}),
        (200, b'{"keys": {}}', {}),
        (200, b'{"keys": []}', {}),
        (200, b'{"keys": [' + b" " * (1 << 20) + b"]}", {}),
        (500, b"{}", {}),
    ],
)
def test_a_key_set_that_is_none_lets_nobody_in(desk, issuer, answer):
    issuer.web.say("/keys2", {"keys": [jwk(RSA, "one")]})
    issuer.web.answers["/keys"] = answer

    async def test(asking):
        assert (await asking.refused(issuer.token())).code is Code.UNAVAILABLE

    run(desk, issuer, test)


def test_no_token_is_logged(desk, issuer, capfd):
    token = issuer.token()

    async def test(asking):
        await asking.admit(token)
        await asking.refused(token[:-2])
        issuer.web.answers.clear()
        await asking.refused(issuer.token(kid="x"))

    run(desk, issuer, test)
    out = "".join(capfd.readouterr())
    assert token[:40] not in out and token.split(".")[2][:20] not in out
