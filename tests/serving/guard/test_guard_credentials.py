"""Which token a request brings: headers as clients, proxies and attackers send them."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.guard.credentials import MOST_BYTES, bearer, credential
from serving.guard.refusals import AccessError

TOKEN = st.from_regex(rb"[A-Za-z0-9\-._~+/]{1,64}={0,2}", fullmatch=True)


@given(TOKEN, st.sampled_from([b"Bearer", b"bearer", b"BEARER", b"bEaReR"]), st.integers(1, 3), st.integers(0, 3))
def test_a_token_is_read_whatever_the_case_and_the_spaces(token, scheme, before, behind):
    assert bearer(scheme + b" " * before + token + b" " * behind) == token
    assert credential({b"x-api-key": b" " * behind + token}) == token


@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda rest: b"Bearer " + rest))
@example(b"Bearer ")
@example(b"Bearer a b")
@example(b"Bearer a,Bearer b")
@example(b"Bearer =")
@example(b"Bearer a=b")
@example(b"Bearer a\n")
@example(b"Bearer\ta")
@example(b"Basic " + base64.b64encode(b"user:password"))
def test_any_bytes_are_a_token_by_the_grammar_or_refused_without_being_repeated(value):
    """The grammar of RFC 6750, section 2.1, said another way than the parser says it."""
    words = value.rstrip(b" \t").split(b" ", 1)
    body = words[1].lstrip(b" ").rstrip(b"=") if len(words) == 2 else b""
    if words[0].lower() == b"bearer" and re.fullmatch(rb"[A-Za-z0-9\-._~+/]+", body):
        assert bearer(value) == words[1].lstrip(b" ")
        return
    with pytest.raises(AccessError) as caught:
        bearer(value)
    assert len(value) < 12 or value.decode("latin-1") not in caught.value.message


@pytest.mark.parametrize("header", [b"x-api-key", b"authorization"])
@pytest.mark.parametrize("value", [b"", b" ", b"a b", b"a\x00", "ä".encode(), b"x" * (MOST_BYTES + 1)])
def test_a_header_that_holds_no_token_is_refused(header, value):
    with pytest.raises(AccessError) as caught:
        credential({header: value})
    assert caught.value.reason == "bad_credentials"


def test_the_longest_token_does_not_take_long():
    with pytest.raises(AccessError):
        bearer(b"Bearer " + b"=" * (MOST_BYTES - 8) + b"!")
    assert credential({}) is None
