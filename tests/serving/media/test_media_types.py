"""Which media type a body has and an answer gets."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.media import read, write
from serving.media.errors import MediaError
from serving.media.facts import VersionFacts
from tests.serving.media.media_facts import DIGIT, PAIR, ROWS

JSON = b'{"instances": [[1, 2, 3]]}'


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/x-www-form-urlencoded",
        b"text/plain;charset=UTF-8",
        b"application/octet-stream",
        b"application/vnd.api+json",
        b"application/xml",
        b"anything at all",
    ],
)
def test_json_is_taken_under_every_name_as_the_original_does(content_type: bytes) -> None:
    assert not read.is_ours(content_type, b" \r\n" + JSON)


@pytest.mark.parametrize("content_type", [b"text/csv", b"TEXT/CSV; header=absent", b"application/x-npy", b"image/jpeg"])
def test_what_is_read_here(content_type: bytes) -> None:
    assert read.is_ours(content_type, b"1,2,3")


@pytest.mark.parametrize("content_type", [b"image/gif", b"application/xml", b"\xff/\xfe", b"video/mp4"])
def test_an_unknown_type_is_415_and_says_what_is_known(content_type: bytes) -> None:
    with pytest.raises(
        MediaError, match=r"is not supported: send application/json, application/x-npy.*image/png"
    ) as refused:
        read.is_ours(content_type, b"GIF89a")
    assert refused.value.status == 415
    assert refused.value.headers.startswith(b"Accept: application/json, ") and refused.value.headers.endswith(b"\r\n")


def test_parameters_reach_the_reader() -> None:
    rows = read.decode(b"text/csv; header=present; charset=UTF-8", b"1,2,3\n4,5,6\n", ROWS)
    assert rows["x"].tolist() == [[4, 5, 6]]
    with pytest.raises(MediaError, match="expected present or absent"):
        read.decode(b'text/csv; header="may, be"', b"1,2,3\n", ROWS)


def test_what_takes_long_is_known_before() -> None:
    assert read.is_slow(b"image/png", b"x") and read.is_slow(b"multipart/form-data; boundary=x", b"x")
    assert read.is_slow(b"text/csv", bytes(300_000)) and not read.is_slow(b"text/csv", b"1,2\n")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (b"", b"application/json"),
        (b"*/*", b"application/json"),
        (b"application/json", b"application/json"),
        (b"application/*", b"application/json"),
        (b"text/*", b"text/csv"),
        (b"text/csv", b"text/csv"),
        (b"Text/CSV; header=present", b"text/csv"),
        (b"application/x-npy", b"application/x-npy"),
        (b"application/x-npy, application/json;q=0.9", b"application/x-npy"),
        (b"application/x-npy;q=0.5, application/json;q=0.9", b"application/json"),
        (b"application/json;q=0, */*;q=0.1", b"application/x-npy"),
        (b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", b"application/json"),  # what Java's own client sends
        (b"text/html, */*", b"application/json"),
    ],
)
def test_what_a_client_likes_best(accept: bytes, media_type: bytes) -> None:
    assert write.form(accept).media_type == media_type


@pytest.mark.parametrize("accept", [b"text/html", b"q", b"image/*", b"application/json;q=0", b"text/csv;q=0.0"])
def test_what_cannot_be_answered_is_406_and_says_what_can(accept: bytes) -> None:
    with pytest.raises(
        MediaError, match="there are application/json, application/x-npy, application/x-npz, text/csv"
    ) as refused:
        write.form(accept)
    assert refused.value.status == 406


def test_a_service_may_prefer_another_type() -> None:
    assert write.form(b"*/*", b"text/csv").media_type == b"text/csv"
    assert write.form(b"application/json, text/csv", b"text/csv").media_type == b"text/csv"


OUTPUTS = {"p": np.array([[0.5, 1.0]], np.float32), "q": np.array([7])}


def test_answers() -> None:
    content_type, body = write.encode(write.form(b"application/x-npy; output=q"), OUTPUTS)
    assert content_type == b"application/x-npy" and np.load(io.BytesIO(body)).tolist() == [7]
    _, body = write.encode(write.form(b"application/x-npz"), OUTPUTS)
    assert set(np.load(io.BytesIO(body))) == {"p", "q"}
    content_type, body = write.encode(write.form(b"text/csv; header=present"), OUTPUTS)
    assert (content_type, body) == (b"text/csv; charset=utf-8", b"p.0,p.1,q\n0.5,1.0,7\n")
    _, body = write.encode(write.form(b"text/csv; output=q"), OUTPUTS)
    assert body == b"7\n"


def test_one_array_of_several_must_be_named_before_anything_is_computed() -> None:
    with pytest.raises(MediaError, match=r'gives "p", "q".*as in application/x-npy; output=p') as refused:
        write.check(write.form(b"application/x-npy"), ("p", "q"))
    assert refused.value.status == 406
    with pytest.raises(MediaError, match='Accept asks for the output "r", the model gives "p", "q"'):
        write.check(write.form(b"text/csv; output=r"), ("p", "q"))
    write.check(write.form(b"text/csv"), ("p", "q"))


@settings(max_examples=500, deadline=None)
@given(
    header=st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            [b"text/csv", b"*/*", b";", b"q=", b"0.5", b",", b'"', b"\\", b" ", b"image/png", b"boundary=x"]
        )
    ).map(b"".join),
    body=st.binary(max_size=60),
    model=st.sampled_from([DIGIT, ROWS, PAIR]),
)
def test_headers_are_refused_or_understood(header: bytes, body: bytes, model: VersionFacts) -> None:
    with suppress(MediaError):
        if read.is_ours(header, body):
            read.is_slow(header, body)
            read.decode(header, body, model)
    with suppress(MediaError):
        write.form(header)
