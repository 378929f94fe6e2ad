"""Any bytes at all, both ways of reading, and what is written read again."""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.backends.base import Array
from serving.http import v2_head
from serving.http.json_in import BadRequestError
from serving.http.messages import Response
from serving.http.v2_json import Reader
from serving.http.v2_request import WantedOutput
from serving.signature import Tensor
from tests.serving.v2_messages import SIZES, answer, asked, binary, one, takes, x

MUTATIONS = int(os.environ.get("SKYLIFT_MUTATIONS", "10000"))
SHAPES = st.lists(st.integers(0, 3), max_size=3)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    dtype, shape = draw(st.sampled_from([*SIZES, "string"])), draw(SHAPES)
    count = math.prod(shape)
    if dtype == "string":
        array = np.empty(count, dtype=object)
        array[:] = draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count))
        return array.reshape(shape)
    raw = draw(st.binary(min_size=count * SIZES[dtype][1], max_size=count * SIZES[dtype][1]))
    if dtype == "bool":
        return np.array([byte & 1 for byte in raw], dtype=bool).reshape(shape)
    return np.frombuffer(raw, dtype).reshape(shape)


def as_input(response: Response) -> tuple[bytes, bytes | None]:
    """An answer's tensors as a request: both have one form."""
    name, _, length = response.extra.partition(b"\r\n")[0].partition(b": ")
    size = int(length) if name == b"Inference-Header-Content-Length" else len(response.body)
    plain = json.loads(response.body[:size])
    head = json.dumps({"inputs": plain["outputs"]}).encode()
    return head + response.body[size:], str(len(head)).encode() if size != len(response.body) else None


class TestRoundTrips:
    @given(st.lists(arrays(), min_size=1, max_size=3), st.data())
    def test_what_is_answered_can_be_sent(self, values: list[Array], data: st.DataObject) -> None:
        outputs = {f"t{index}": value for index, value in enumerate(values)}
        kinds = {name: "string" if value.dtype == object else value.dtype.name for name, value in outputs.items()}
        wanted = []
        for name, kind in kinds.items():
            is_binary = kind == "float16" or data.draw(st.booleans())
            wanted.append(WantedOutput(name, is_binary, kind == "string" and not is_binary))
        body, length = as_input(answer(asked(*wanted), **outputs))
        if length is None and any(one.is_binary for one in wanted):
            length = str(len(body)).encode()  # all that is binary is empty
        tensors = [Tensor(name, kind, (None,) * outputs[name].ndim) for name, kind in kinds.items()]
        got = takes(*tensors).decode(body, length).inputs
        for name, value in outputs.items():
            assert got[name].dtype == value.dtype and got[name].shape == value.shape
            np.testing.assert_array_equal(got[name], value)

    @given(st.binary(max_size=40), st.lists(st.sampled_from(["x", "w"]), max_size=3), st.integers(0, 12))
    def test_any_tail_is_read_or_refused(self, tail: bytes, names: list[str], size: int) -> None:
        kinds = {"x": ("string", "BYTES"), "w": ("int16", "INT16")}
        inputs = [
            {"name": name, "datatype": kinds[name][1], "shape": [2], "parameters": {"binary_data_size": size}}
            for name in names
        ]
        decoder = takes(*(Tensor(name, kind, (None,)) for name, (kind, _) in kinds.items()))
        try:
            request = decoder.decode(*binary({"inputs": inputs}, tail))
        except BadRequestError:
            return
        assert sum(len(item) + 4 for item in request.inputs["x"]) + request.inputs["w"].nbytes == len(tail)

    @given(st.binary(max_size=60) | st.text(alphabet='{}[]":,01e.-NaIn t\\u', max_size=60).map(str.encode))
    def test_any_body_is_read_or_refused(self, body: bytes) -> None:
        for length in (None, b"0", b"7"):
            with contextlib.suppress(BadRequestError):
                takes(x("float32", None)).decode(body, length)

    @given(
        st.sampled_from(["FP32", "FP64", "INT8", "UINT32", "INT64", "UINT64"]),
        SHAPES,
        st.recursive(
            st.one_of(
                st.integers(-(2**65), 2**65), st.floats(), st.integers(0, 3), st.booleans(), st.none(), st.text()
            ),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=12,
        ),
    )
    def test_the_quick_way_never_reads_otherwise_than_the_exact_one(
        self, datatype: str, shape: list[int], value: Any
    ) -> None:
        text = json.dumps(value).encode()
        quick = Reader()._quick(datatype, tuple(shape), msgspec.Raw(text))
        if quick is not None:
            exact = Reader().read("x", datatype, tuple(shape), json.loads(text), is_base64=False)
            assert quick.dtype == exact.dtype and quick.shape == exact.shape
            np.testing.assert_array_equal(quick, exact)

    def test_the_quick_way_takes_plain_numbers(self) -> None:
        for text in (b"[1,2,3,4]", b"[[1, 2], [3, 4]]", b"[ [1,2],\n[3,4] ]"):
            for kind in ("FP32", "FP64", "INT8", "INT64", "UINT16", "UINT64"):
                quick = Reader()._quick(kind, (2, 2), msgspec.Raw(text))
                assert quick is not None and quick.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("shape", [(60_000, 3), (180_000,)])
    @pytest.mark.parametrize(("kind", "spaces"), [("FP32", b" "), ("FP64", b""), ("INT32", b"")])
    def test_long_data_is_read_in_pieces_and_as_strictly(
        self, shape: tuple[int, ...], kind: str, spaces: bytes
    ) -> None:
        value = np.arange(180_000).reshape(shape)
        text = json.dumps(value.tolist()).encode().replace(b", ", b"," + spaces)
        assert len(text) > 1_000_000

        def quick(text: bytes) -> Array | None:
            return Reader()._quick(kind, shape, msgspec.Raw(text))

        got = quick(text)
        assert got is not None
        np.testing.assert_array_equal(got, value)
        for changed in (
            text.replace(b"179999", b"179999,1"),
            text.replace(b"179999", b'"179999"'),
            text.replace(b"179999", b"[179999]"),
            text.replace(b"90001", b"null"),
            json.dumps(text.decode()).encode(),
            b'"' + text[1:-1] + b'"',
            text.replace(b"," + spaces + b"179999", b""),
        ):
            assert quick(changed) is None

    def test_both_ways_read_one_envelope(self) -> None:
        plain = one("float32", [1], [1], parameters={"a": 1}) | {"id": "7", "outputs": [{"name": "y"}], "more": {}}
        quick = v2_head.parse(json.dumps(plain).encode())
        plain["inputs"][0]["data"] = [math.nan]
        exact = v2_head.parse(json.dumps(plain).encode())
        assert isinstance(quick.inputs[0], v2_head.QuickInput) and isinstance(exact.inputs[0], v2_head.ExactInput)
        for member in ("id", "parameters", "outputs"):
            assert getattr(quick, member) == getattr(exact, member)
        for member in ("name", "shape", "datatype", "parameters"):
            assert getattr(quick.inputs[0], member) == getattr(exact.inputs[0], member)


class TestMutations:
    """Requests that were right, changed at random: each is refused, or gives tensors that the model takes."""

    TENSORS = (Tensor("x", "float32", (None, 2)), Tensor("s", "string", (None,)), Tensor("i", "int64", (None, 1)))
    PLAIN: dict[str, Any] = {
        "id": "é7",
        "parameters": {"binary_data_output": False},
        "inputs": [
            {"name": "i", "shape": [2, 1], "datatype": "INT64", "data": [[-3], [9007199254740993]]},
            {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.5, -2e3, 0.25, 4]},
            {"name": "s", "shape": [2], "datatype": "BYTES", "data": ["\u00e9", "b"]},
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }
    PIECES = tuple(b'[ ] { } , : " 0 - e 1e999 NaN null true \\ud800 [[ ]] {} \xff \0 99999999999999999999'.split())

    def seeds(self) -> list[tuple[bytes, bytes | None]]:
        inputs = [dict(plain) for plain in self.PLAIN["inputs"]]
        for plain, size in ((inputs[1], 16), (inputs[2], 11)):
            del plain["data"]
            plain["parameters"] = {"binary_data_size": size}
        tail = struct.pack("<4f", 1, 2, 3, 4) + b"\2\0\0\0ab\1\0\0\0c"
        return [(json.dumps(self.PLAIN).encode(), None), binary(self.PLAIN | {"inputs": inputs}, tail)]

    def changed(self, random: Random, body: bytes) -> bytes:
        for _ in range(random.randint(1, 3)):
            at, end = sorted(random.choices(range(len(body) + 1), k=2))
            end = min(end, at + 12)
            match random.randrange(4):
                case 0:
                    body = body[:at] + body[end:]
                case 1:
                    body = body[:at] + random.choice(self.PIECES) + body[at:]
                case 2:
                    body = body[:at] + random.choice(self.PIECES) + body[end:]
                case _:
                    body = body[:end] + body[at:]
        return body

    def test_none_breaks_the_reader_or_gives_what_the_model_does_not_take(self) -> None:
        random, decoder, seeds, read_count = Random(6), takes(*self.TENSORS), self.seeds(), 0
        for _ in range(MUTATIONS):
            body, length = random.choice(seeds)
            if length is not None and not random.randrange(8):
                length = b"%d" % (int(length) + random.randint(-9, 9))
            try:
                request = decoder.decode(self.changed(random, body), length)
            except BadRequestError:
                continue
            read_count += 1
            for tensor in self.TENSORS:
                value = request.inputs[tensor.name]
                assert tensor.accepts(value.shape)
                assert value.dtype == (object if tensor.dtype == "string" else np.dtype(tensor.dtype))
            assert answer(request, y=np.zeros(2, np.float32)).status == 200
        assert read_count > MUTATIONS // 100
