"""numpy's files as bodies, against what numpy itself writes and reads."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from serving.media import npy, npz
from serving.media.errors import MediaError
from serving.media.facts import MediaLimits, VersionFacts
from tests.serving.media.media_facts import DIGIT, PAIR, ROWS, TEXT, WHOLE, facts

Array = npt.NDArray[Any]


def saved(array: Array, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def with_header(text: str, elements: bytes = b"") -> bytes:
    raw = text.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + elements


def only(body: bytes, model: VersionFacts) -> Array:
    (array,) = npy.decode(body, model).values()
    return array


class TestReading:
    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
    def test_an_array_of_the_models_type_is_not_copied(self, version: tuple[int, int]) -> None:
        pixels = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
        body = saved(pixels, version)
        array = only(body, DIGIT)
        assert np.array_equal(array, pixels) and array.dtype == np.float32
        assert np.shares_memory(array, np.frombuffer(body, np.uint8))

    @pytest.mark.parametrize(
        "rows",
        [
            np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3)),
            np.arange(6, dtype=">f4").reshape(2, 3),
            np.arange(6, dtype=np.float64).reshape(2, 3),
            np.arange(6, dtype=np.float16).reshape(2, 3),
            np.arange(6, dtype=np.uint8).reshape(2, 3),
            np.arange(6, dtype=">i8").reshape(2, 3),
        ],
        ids=["fortran", "big endian", "float64", "float16", "uint8", "int64"],
    )
    def test_other_orders_and_types_become_the_models(self, rows: Array) -> None:
        array = only(saved(rows), ROWS)
        assert array.dtype == np.dtype(np.float32) and array.dtype.isnative and array.flags.c_contiguous
        assert np.array_equal(array, rows)

    def test_whole_numbers_in_range_get_narrower(self) -> None:
        assert only(saved(np.array([[1, -(2**31)]])), WHOLE).tolist() == [[1, -(2**31)]]
        with pytest.raises(MediaError, match='"n" holds 2147483648, int32 goes from -2147483648 to 2147483647'):
            only(saved(np.array([[1, 2**31]])), WHOLE)

    def test_float64_that_is_too_great_is_infinite(self) -> None:
        assert only(saved(np.array([[1e300, -1e300, np.nan]])), ROWS).tolist()[0][:2] == [np.inf, -np.inf]

    def test_an_unaligned_array_is_copied(self) -> None:
        body = with_header(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3)}", np.arange(3, dtype="<f4").tobytes()
        )
        array = only(body, ROWS)
        assert array.flags.aligned and array.tolist() == [[0.0, 1.0, 2.0]]

    def test_texts(self) -> None:
        assert only(saved(np.array(["naïve", "b"])), TEXT).tolist() == ["naïve".encode(), b"b"]
        assert only(saved(np.array([b"\xff", b"b"])), TEXT).tolist() == [b"\xff", b"b"]

    def test_bools(self) -> None:
        model = facts(("x", "bool", (None,)))
        body = saved(np.array([True, False]))
        assert only(body, model).tolist() == [True, False]
        with pytest.raises(MediaError, match="the byte 7 as a bool"):
            only(body[:-1] + b"\x07", model)

    def test_headers_as_others_write_them(self) -> None:
        for text in (
            '{"shape": (1,3), "descr": "<f4", "fortran_order": False}',
            "{'descr':'<f4','fortran_order':False,'shape':(1L, 3L),}\n",
            "{ 'fortran_order' : False , 'shape' : ( 1 , 3 , ) , 'descr' : '<f4' , }   \n",
        ):
            assert only(with_header(text, bytes(12)), ROWS).shape == (1, 3)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "does not begin as one"),
            (b"{}", "does not begin as one"),
            (b"\x93NUMPY\x04\x00" + bytes(10), "format 4.0 is not known"),
            (b"\x93NUMPY\x01\x00\xff\xff" + bytes(10), "says that it has 65535 bytes"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(10), "says that it has 4294967295 bytes"),
            (saved(np.array([{}], dtype=object)), "pickled objects, which are never read"),
            (saved(np.zeros(2, dtype=[("a", "f4")])), "is none of a plain array"),
            (saved(np.zeros((1, 3), dtype="M8[s]")), "of type '<M8\\[s\\]'"),
            (saved(np.zeros((1, 3), dtype=np.complex64)), "of type '<c8'"),
            (saved(np.zeros((1, 4), np.float32)), r'"x" has shape \[1,4\], the model takes \[\?,3\]'),
            (saved(np.zeros(3, np.float32)), r"has shape \[3\], the model takes \[\?,3\]"),
            (saved(np.array([["a", "b", "c"]])), r'"x" is str32, the model takes "x" \(float32 \[\?,3\]\)'),
            (saved(np.zeros((1, 3), np.float32))[:-1], "11 bytes stand behind the header, 3 elements of <f4 are 12"),
            (saved(np.zeros((1, 3), np.float32)) + b"x", "13 bytes stand behind the header"),
            (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3)"), "is none of a plain array"),
            (with_header("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}"), "none of a plain array"),
            (with_header("{'descr': '<f4', 'descr': '<f4', 'shape': (3,)}"), "none of a plain array"),
            (with_header("(" * 9000), "none of a plain array"),
            (
                with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999, 3)}"),
                "which is too great",
            ),
        ],
    )
    def test_what_is_refused(self, body: bytes, message: str) -> None:
        with pytest.raises(MediaError, match=message) as refused:
            npy.decode(body, ROWS)
        assert refused.value.status == 400

    def test_floats_are_no_whole_numbers(self) -> None:
        with pytest.raises(MediaError, match=r'"n" is float64, the model takes "n" \(int32 \[\?,2\]\)'):
            only(saved(np.zeros((1, 2))), WHOLE)

    def test_shapes_that_nothing_can_have(self) -> None:
        model = facts(("x", "float32", None))
        for shape in ("0, " + "9" * 18 + ", 99", "1, " * 33):
            body = with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape})}}")
            with pytest.raises(MediaError, match=r"too great|33 dimensions"):
                only(body, model)

    def test_several_inputs_need_names(self) -> None:
        with pytest.raises(MediaError, match="carries one array, the model takes") as refused:
            npy.decode(saved(np.zeros(2)), PAIR)
        assert refused.value.status == 415

    def test_a_million_texts_and_no_more(self) -> None:
        with pytest.raises(MediaError, match="has 1000001 texts") as refused:
            only(saved(np.zeros(1_000_001, "S1")), TEXT)
        assert refused.value.status == 413


class TestArchives:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_several_inputs_by_their_names(self, save: Any) -> None:
        file = io.BytesIO()
        save(file, a=np.array([1.5, 2.5]), b=np.array([[3], [4]]))
        arrays = npz.decode(file.getvalue(), PAIR)
        assert arrays["a"].tolist() == [1.5, 2.5] and arrays["a"].dtype == np.float32
        assert arrays["b"].tolist() == [[3], [4]]

    def test_names_that_the_model_does_not_have(self) -> None:
        file = io.BytesIO()
        np.savez(file, a=np.zeros(1), c=np.zeros(1))
        with pytest.raises(MediaError, match=r'holds "a", "c", the model takes "a" \(float32 \[\?\]\), "b"'):
            npz.decode(file.getvalue(), PAIR)

    def test_a_bomb(self) -> None:
        file = io.BytesIO()
        np.savez_compressed(file, x=np.zeros((1_000_000, 3), np.float32))
        assert len(file.getvalue()) < 20_000
        model = facts(("x", "float32", (None, 3)), limits=MediaLimits(decoded_bytes=2_000_000))
        with pytest.raises(MediaError, match="longer than the limit") as refused:
            npz.decode(file.getvalue(), model)
        assert refused.value.status == 413

    def test_an_endless_directory_is_not_read(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(2000):
                archive.writestr(f"{number}.npy", b"")
        with pytest.raises(MediaError, match="more entries than a model has inputs"):
            npz.decode(file.getvalue(), ROWS)

    def test_what_is_damaged(self) -> None:
        file = io.BytesIO()
        np.savez_compressed(file, x=np.random.default_rng(0).random((50, 3)))
        whole = file.getvalue()
        for body in (
            b"",
            whole[:-1],
            whole[10:],
            whole[:90] + b"\x00\x01\x02" + whole[93:],
            whole.replace(b"x.npy", b"y.npy"),
        ):
            with pytest.raises(MediaError):
                npz.decode(body, ROWS)


class TestWriting:
    @settings(max_examples=200, deadline=None)
    @given(
        of_numpy.arrays(
            st.sampled_from(["f2", "<f4", ">f8", "i1", "i8", "u2", "bool", "c8"]),
            of_numpy.array_shapes(min_dims=0, min_side=0, max_side=4),
            fill=st.nothing(),
        )
    )
    def test_numpy_reads_what_is_written(self, value: Array) -> None:
        back = np.load(io.BytesIO(npy.pack("y", value)), allow_pickle=False)
        assert back.shape == value.shape and back.dtype == value.dtype.newbyteorder("=")
        assert np.array_equal(back, value, equal_nan=value.dtype.kind in "fc")

    def test_texts_are_written_where_that_keeps_them(self) -> None:
        texts = np.array([b"ja", b"nein"], dtype=object)
        assert np.load(io.BytesIO(npy.pack("y", texts))).tolist() == [b"ja", b"nein"]
        for lost in ([b"a\0"], [b"x" * 2_000_000] + [b""] * 100):
            with pytest.raises(MediaError, match="ask for JSON") as refused:
                npy.pack("y", np.array(lost, dtype=object))
            assert refused.value.status == 406

    def test_a_view_is_written_in_order(self) -> None:
        value = np.arange(6, dtype=np.float32).reshape(2, 3).T
        assert np.array_equal(np.load(io.BytesIO(npy.pack("y", value))), value)

    def test_an_archive_of_all_outputs(self) -> None:
        outputs = {"y": np.arange(3.0), "name": np.array([b"a"], dtype=object)}
        back = np.load(io.BytesIO(npz.pack(outputs)), allow_pickle=False)
        assert back["y"].tolist() == [0.0, 1.0, 2.0] and back["name"].tolist() == [b"a"]
        assert npz.pack(outputs) == npz.pack(outputs)


ODD = facts(("x", "float32", None))
SOUND = saved(np.arange(6, dtype=np.float32).reshape(2, 3))


@settings(max_examples=500, deadline=None)
@given(
    at=st.integers(0, len(SOUND)),
    junk=st.binary(max_size=8) | st.sampled_from([b"'", b"(", b"0" * 10, b"9" * 18, b"U9", b"'|O'", b"True"]),
    drop=st.integers(0, 20),
    model=st.sampled_from([ROWS, ODD, WHOLE, TEXT, DIGIT]),
)
def test_damaged_files_are_refused_or_arrays(at: int, junk: bytes, drop: int, model: VersionFacts) -> None:
    with suppress(MediaError):
        (array,) = npy.decode(SOUND[:at] + junk + SOUND[at + drop :], model).values()
        assert array.size <= 6
    packed = io.BytesIO()
    np.savez_compressed(packed, x=np.zeros((2, 3), np.float32))
    body = packed.getvalue()
    with suppress(MediaError):
        npz.decode(body[:at] + junk + body[at + drop :], ROWS)
