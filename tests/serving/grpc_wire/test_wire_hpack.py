"""Header blocks: the examples of RFC 7541's appendix C, and another library's view of the same bytes."""

from __future__ import annotations

import random

import pytest

from serving.grpc.calls import Told
from serving.grpc.wire import blocks, huffman
from serving.grpc.wire.hpack import STATIC, Decoder, HpackError
from serving.interface import Code

FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
THIRD = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]


@pytest.mark.parametrize(
    "raw",
    [
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
)
def test_the_examples_of_the_standard(raw: tuple[str, str, str]) -> None:
    decoder = Decoder(1 << 16)
    first, second, third = (decoder.decode(bytes.fromhex(one)) for one in raw)
    assert first == FIRST and second == [*FIRST, (b"cache-control", b"no-cache")] and third == THIRD


@pytest.mark.parametrize(
    "raw",
    [
        "80", "be", "8286be", "7f", "ffffffffff0f", "4001", "40ff", "400161", "0004", "3fe21f", "8220",
        "0081ff00", "000181", "00818000", "0084ffffffff00", "0082f100",
    ],
)  # fmt: skip
def test_blocks_that_cannot_be_read(raw: str) -> None:
    with pytest.raises(HpackError):
        Decoder(1 << 16).decode(bytes.fromhex(raw))


def test_too_many_fields_are_left_out_and_the_table_is_kept() -> None:
    decoder = Decoder(100)
    assert decoder.decode(blocks.block([(b"a", b"b" * 50)]) + b"\x40\1x\1y" + b"\x82" * 5) is None
    assert decoder.decode(b"\xbe") == [(b"x", b"y")]
    assert decoder.decode(b"\xbe" * 30_000) is None


def test_huffman_takes_no_byte_more() -> None:
    codes = huffman.codes()
    for byte in range(256):
        code, length = codes[byte]
        filling = -length % 8
        assert huffman.decode(
            ((code << filling) | (1 << filling) - 1).to_bytes((length + filling) // 8, "big")
        ) == bytes([byte])
    assert huffman.decode(b"") == b""
    for bad in (b"\xff", b"\x1f\xff", b"\xff\xff\xff\xff"):
        with pytest.raises(huffman.HuffmanError):
            huffman.decode(bad)


def test_answers_are_read_by_others() -> None:
    hpack = pytest.importorskip("hpack")
    reader = hpack.Decoder()
    error = Told(Code.RESOURCE_EXHAUSTED, "100 %\n" + "ü" * 500, 1500)
    assert reader.decode(blocks.BEGIN + blocks.OK) == [
        (":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0"),
    ]  # fmt: skip
    fields = dict(reader.decode(blocks.failed(error, is_first=True)))
    assert fields[":status"] == "200" and fields["grpc-status"] == "8" and fields["grpc-retry-pushback-ms"] == "1500"
    assert fields["grpc-message"].startswith("100 %25%0A%C3%BC") and len(fields["grpc-message"]) == 10 + 3000


def test_another_library_reads_the_same() -> None:
    hpack = pytest.importorskip("hpack")
    rng = random.Random(0)
    writer, reader = hpack.Encoder(), Decoder(1 << 20)
    for turn in range(500):
        fields = [(rng.choice([b":path", b"a", rng.randbytes(3).hex().encode()]), rng.randbytes(rng.randrange(40)))
                  for _ in range(rng.randrange(12))]  # fmt: skip
        if turn % 50 == 0:
            writer.header_table_size = rng.randrange(4097)
        assert reader.decode(writer.encode(fields, huffman=turn % 3 > 0)) == fields
    for _ in range(5000):
        raw = rng.randbytes(rng.randrange(1, 30))
        try:
            theirs = [tuple(one) for one in hpack.Decoder(max_header_list_size=1 << 20).decode(raw, raw=True)]
        except hpack.HPACKError:
            theirs = None
        try:
            ours = Decoder(1 << 20).decode(raw)
        except HpackError:
            ours = None
        assert ours == theirs, raw.hex()
    assert STATIC[61] == (b"www-authenticate", b"")
