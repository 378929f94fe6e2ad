"""Pictures as bodies: the pixels that `skylift predict` sends, whatever the file, and never more memory than allowed."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.media import images, read
from serving.media.errors import MediaError
from serving.media.facts import MediaLimits, VersionFacts
from skylift.artifacts.records import TensorSpec
from skylift.client import inputs
from tests.serving.media.media_facts import DIGIT, ROWS, TEXT, facts

Array = npt.NDArray[Any]
COLOUR = facts(("image", "uint8", (None, 8, 12, 3)), input_kind="image")
OPEN = facts(("image", "float32", (None, None, None, 3)), input_kind="image")


def picture(mode: str, size: tuple[int, int] = (40, 30), kind: str = "PNG", **options: Any) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(noise[..., :3]).quantize(16)
    else:
        image = Image.fromarray(noise).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return picture("RGB", exif=exif)


def rows(body: bytes, model: VersionFacts, content_type: bytes = b"image/png") -> Array:
    assert read.is_ours(content_type, body)
    (array,) = read.decode(content_type, body, model).values()
    return array


@pytest.mark.parametrize("model", [DIGIT, COLOUR, OPEN], ids=["grey", "colours", "any size"])
@pytest.mark.parametrize(
    ("ending", "body"),
    [
        ("png", picture("L")),
        ("png", picture("1")),
        ("png", picture("RGB")),
        ("png", picture("RGBA")),
        ("png", picture("LA")),
        ("png", picture("P")),
        ("png", picture("P", transparency=3)),
        ("png", picture("I;16")),
        ("png", picture("L", (28, 28))),
        ("png", turned()),
        ("jpg", picture("RGB", kind="JPEG")),
        ("jpg", picture("L", kind="JPEG")),
        ("jpg", picture("CMYK", kind="JPEG")),
    ],
    ids=[
        "L",
        "1",
        "RGB",
        "RGBA",
        "LA",
        "P",
        "P see-through",
        "16 bits",
        "fits",
        "exif",
        "jpeg",
        "grey jpeg",
        "cmyk jpeg",
    ],
)
def test_the_same_pixels_as_predict_sends(tmp_path: Path, model: VersionFacts, ending: str, body: bytes) -> None:
    path = tmp_path / f"one.{ending}"
    path.write_bytes(body)
    tensor = model.signature.inputs[0]
    spec = TensorSpec(name=tensor.name, dtype=tensor.dtype, shape=list(tensor.shape or ()))
    expected = np.asarray(inputs.read(path, [spec], model.task).rows)
    array = rows(body, model, b"image/png" if ending == "png" else b"image/jpeg")
    assert array.dtype == np.dtype(tensor.dtype) and np.array_equal(array, expected)


def test_webp_too() -> None:
    file = io.BytesIO()
    Image.new("RGB", (12, 8), (10, 20, 30)).save(file, "WEBP", lossless=True)
    assert rows(file.getvalue(), COLOUR, b"image/webp")[0, 0, 0].tolist() == [10, 20, 30]


def test_a_model_that_decodes_files_itself_gets_them() -> None:
    body = picture("RGB", kind="JPEG")
    assert rows(body, TEXT, b"image/jpeg").tolist() == [body]
    assert rows(body, facts(("t", "string", (None, 1))), b"image/jpeg").tolist() == [[body]]


def test_a_model_that_does_not_say_what_it_takes_is_judged_by_its_shape() -> None:
    assert images.takes(facts(("x", "float32", (None, 28, 28, 1))))
    assert images.takes(facts(("x", "float32", (1, 8, 8, 3))))
    for model in (
        ROWS,
        facts(("x", "float32", (None, 28, 28, 1)), input_kind="sequence"),
        facts(("x", "float32", (None, 28, 28, 4))),
        facts(("x", "int8", (None, 28, 28, 3))),
        facts(("x", "float32", (None, 8, 8, 3)), ("y", "float32", (None, 8, 8, 3))),
        facts(("x", "float32", None)),
    ):
        assert not images.takes(model)
        with pytest.raises(MediaError, match="takes no pictures, it takes") as refused:
            images.decode([b"x"], model)
        assert refused.value.status == 415


class TestSeveralPictures:
    @staticmethod
    def form(*parts: tuple[str, bytes], end: bytes = b"--\r\n", preamble: bytes = b"") -> bytes:
        body = preamble
        for head, content in parts:
            body += b"--Xy\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        return body + b"--Xy" + end

    TYPE = b'multipart/form-data; boundary="Xy"'

    def test_each_is_a_row(self) -> None:
        one, two = picture("L", (28, 28)), picture("RGB", kind="JPEG")
        body = self.form(
            ('name="image"; filename="1.png"\r\nContent-Type: image/png', one),
            ('name="note"', b"hello"),
            ('name="image"\r\nContent-Type: image/jpeg', two),
            preamble=b"before\r\n",
        )
        array = rows(body, DIGIT, self.TYPE)
        assert array.shape == (2, 28, 28, 1)
        assert np.array_equal(array, np.concatenate([rows(one, DIGIT), rows(two, DIGIT)]))

    @pytest.mark.parametrize(
        ("body", "message", "status"),
        [
            (b"", "the body is empty", 400),
            (b"--Z", "no part that begins with its boundary", 400),
            (form(("name=a", b"x")), "has no file", 400),
            (form(('name=a; filename="x"', b"x"), end=b"\r\n"), "ends before its last boundary", 400),
            (form(*[("name=a; filename=x", b"x")] * 257), "more than 256 files", 413),
            (form(*[("name=a", b"x")] * 600), "more than 512 parts", 413),
            (form(("name=a; filename=x", picture("L")), ("name=a; filename=x", b"x")), "picture 2 cannot be read", 400),
        ],
    )
    def test_what_is_refused(self, body: bytes, message: str, status: int) -> None:
        with pytest.raises(MediaError, match=message) as refused:
            read.decode(self.TYPE, body, DIGIT)
        assert refused.value.status == status
        with pytest.raises(MediaError, match="names no boundary"):
            read.decode(b"multipart/form-data", b"--", DIGIT)

    def test_different_sizes_where_the_model_takes_any(self) -> None:
        files = [picture("L"), picture("L", (20, 20))]
        with pytest.raises(MediaError, match="the pictures differ in size"):
            images.decode(files, OPEN)

    def test_what_they_cost_together(self) -> None:
        model = facts(("x", "float32", (None, 8, 8, 1)), limits=MediaLimits(pixels=1200))
        assert images.decode([picture("L")] * 8, model)["x"].shape == (8, 8, 8, 1)
        with pytest.raises(MediaError, match="picture 9 is too large: it has 40x30 pixels"):
            images.decode([picture("L")] * 9, model)
        model = facts(("x", "float32", (None, None, None, 3)), limits=MediaLimits(decoded_bytes=30_000))
        with pytest.raises(MediaError, match="picture 3 makes rows of more than 30000 bytes"):
            images.decode([picture("L")] * 3, model)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose pixels are all zero: a thousandth of what they are in memory."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(min(height * (1 + 4 * width), 5_000_000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "size", [(6000, 6000), (10_000, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)]
)
def test_a_bomb_is_refused_by_its_head(size: tuple[int, int]) -> None:
    body = bomb(*size)
    tracemalloc.start()
    try:
        with pytest.raises(MediaError, match="the picture is too large") as refused:
            rows(body, DIGIT)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "body", [b"GIF89a" + bytes(20), b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", picture("RGB")[:-50], b"BM" + bytes(60)]
)
def test_what_is_no_picture(body: bytes) -> None:
    with pytest.raises(MediaError, match="the picture cannot be read") as refused:
        rows(body, DIGIT)
    assert refused.value.status == 400


SOUND = [
    picture("RGB", (9, 7)),
    picture("P", (9, 7), transparency=1),
    picture("I;16", (9, 7)),
    picture("RGB", (9, 7), "JPEG"),
    picture("RGBA", (9, 7), "WEBP"),
    turned(),
]


@settings(max_examples=400, deadline=None)
@given(
    sound=st.sampled_from(SOUND),
    at=st.integers(0, 300),
    junk=st.binary(max_size=12),
    drop=st.integers(0, 30),
    model=st.sampled_from([DIGIT, COLOUR, OPEN]),
)
def test_damaged_pictures_are_refused_or_rows(
    sound: bytes, at: int, junk: bytes, drop: int, model: VersionFacts
) -> None:
    with suppress(MediaError):
        body = sound[:at] + junk + sound[at + drop :]
        (array,) = images.decode([body], model).values()
        assert model.signature.inputs[0].accepts(array.shape)
    form = b"--Xy\r\nContent-Disposition: form-data; filename=x\r\n\r\n" + sound[:20] + b"\r\n--Xy--"
    with suppress(MediaError):
        read.decode(TestSeveralPictures.TYPE, form[:at] + junk + form[at + drop :], model)
