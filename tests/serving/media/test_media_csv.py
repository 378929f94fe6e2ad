"""Tables as bodies: what becomes of each kind of model's columns, and what is said of a wrong cell."""

from __future__ import annotations

import csv as plain_csv
import io
import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.backends.base import Array
from serving.media import csv, csv_out
from serving.media.errors import MediaError
from serving.media.facts import VersionFacts
from tests.serving.media.media_facts import DIGIT, PAIR, ROWS, TABLE, TEXT, WHOLE, facts

ONE = facts(("x", "float32", (None,)))
OPEN = facts(("x", "float64", (None, None)))
FLAGS = facts(("x", "bool", (None, 2)))


def rows(body: bytes, model: VersionFacts, **parameters: str) -> list[object]:
    (array,) = csv.decode(body, model, parameters).values()
    values: list[object] = array.tolist()
    return values


class TestOneInput:
    @pytest.mark.parametrize(
        "body",
        [
            b"1,2,3\n4,5,6\n",
            b"1,2,3\n4,5,6",
            b"1,2,3\r\n4,5,6\r\n\r\n",
            b"1,2,3\r4,5,6\r",
            b"\xef\xbb\xbf1.0,2e0,3\n4,5,6\n",
            b' 1 , +2,"3"\n\n"4","5",6.\n',
            b"age,height,weight\n1,2,3\n4,5,6\n",
            b'"age","height","weight"\r\n1,2,3\r\n4,5,6\r\n',
            b'weight,note,age,height\n3,,1,2\n6,"a,\n b",4,5\n',
            b"weight,note,age,height\n3,7,1,2\n6,8,4,5\n",
            b"\n\nage,height,weight\n\n1,2,3\n4,5,6\n",
        ],
    )
    def test_rows_in_the_order_that_the_model_learned(self, body: bytes) -> None:
        assert rows(body, TABLE) == [[1, 2, 3], [4, 5, 6]]

    def test_the_parameter_says_whether_there_is_a_header(self) -> None:
        assert rows(b"1,2,3\n4,5,6\n", ROWS, header="present") == [[4, 5, 6]]
        assert rows(b"1,2,3\n4,5,6\n", ROWS, header="absent") == [[1, 2, 3], [4, 5, 6]]
        with pytest.raises(MediaError, match=r"row 1 \(line 1\), column 1 is 'a', expected float32"):
            rows(b"a,b,c\n4,5,6\n", ROWS, header="absent")
        assert rows(b"a,b,c\n4,5,6\n", ROWS) == [[4, 5, 6]]

    def test_columns_that_are_named_by_numbers(self) -> None:
        model = facts(("x", "float32", (None, 2)), input_names=["1", "2"])
        assert rows(b"2,1\n5,6\n", model) == [[6, 5]]
        assert rows(b"5,6\n", model) == [[5, 6]]

    def test_other_types_and_shapes(self) -> None:
        assert rows(b"1,-2\n", WHOLE) == [[1, -2]]
        assert rows(b"true,0\nFalse,1\n", FLAGS) == [[True, False], [False, True]]
        assert rows(b"1\n2\n", ONE) == [1, 2]
        assert rows(b"1,2,3,4\n5,6,7,8\n", OPEN) == [[1, 2, 3, 4], [5, 6, 7, 8]]
        assert rows(b't\n"a, ""b"""\nna\xc3\xafve\n', TEXT) == [b'a, "b"', "naïve".encode()]
        assert rows(b"age\n", TEXT) == [b"age"]
        (pixels,) = csv.decode(b",".join([b"7"] * 784), DIGIT, {}).values()
        assert pixels.dtype == np.float32 and pixels.shape == (1, 28, 28, 1)

    def test_numbers_that_are_none_in_json(self) -> None:
        (row,) = rows(b"nan,-inf,1e999\n", ROWS, header="absent")
        assert isinstance(row, list)
        assert math.isnan(row[0]) and row[1:] == [-math.inf, math.inf]

    def test_whole_numbers_beyond_a_doubles(self) -> None:
        model = facts(("x", "int64", (None, 1)))
        for body in (b"9007199254740993\n", b"+9007199254740993\n"):
            assert rows(body, model) == [[9007199254740993]]

    @pytest.mark.parametrize(
        ("body", "model", "message"),
        [
            (b"1,2,3\n1,x,3\n", ROWS, r"^row 2 \(line 2\), column 2 is 'x', expected float32$"),
            (
                b"age,height,weight\n1,,3\n",
                TABLE,
                r'^row 1 \(line 2\), column 2 \("height"\) is empty, expected float32$',
            ),
            (b"1,2,3\n1,2\n", ROWS, r"^row 2 \(line 2\) has 2 cells, expected 3$"),
            (b"1,2\n", ROWS, r"^row 1 \(line 1\) has 2 cells, expected 3$"),
            (b"a,b\n1,2\n", ROWS, r'^the rows have 2 cells, input "x" takes \[\?,3\], 3 cells a row$'),
            (b"age,height\n1,2\n", TABLE, '^the table lacks "weight"; its header has "age", "height"$'),
            (b"age,height,weight,age\n1,2,3,4\n", TABLE, 'names the column "age" twice'),
            (b"1.0,2\n", WHOLE, r"column 1 is '1.0', expected int32"),
            (b"1,2147483648\n", WHOLE, r"column 2 is '2147483648', expected int32"),
            (b"1,[2],3\n", ROWS, r"column 2 is '\[2\]', expected float32"),
            (b"1,1_0,3\n", ROWS, r"column 2 is '1_0', expected float32"),
            (b"1,2 2,3\n", ROWS, r"column 2 is '2 2', expected float32"),
            (b"1,2,\xff\n", ROWS, "the table is not UTF-8"),
            (b'1,2,"3\n', ROWS, "the table cannot be read: unexpected end of data"),
            (b"1,2," + b"3" * 140_000, ROWS, "the table cannot be read: field larger"),
            (b"", ROWS, "the table has no rows"),
            (b"\n \n", ROWS, "the table has no rows"),
            (b"a,b,c\n", ROWS, "the table has no rows"),
            (b"1,2,maybe\n", ROWS, r"column 3 is 'maybe'"),
        ],
    )
    def test_what_is_refused(self, body: bytes, model: VersionFacts, message: str) -> None:
        with pytest.raises(MediaError, match=message) as refused:
            rows(body, model)
        assert refused.value.status == 400

    @pytest.mark.parametrize(
        ("model", "parameters", "message"),
        [
            (ROWS, {"charset": "utf-16"}, "charset='utf-16' is not read"),
            (ROWS, {"header": "yes"}, "is 'yes', expected present or absent"),
            (facts(("x", "float32", (None, None, 2))), {}, "cannot carry this model's input"),
            (facts(("x", "complex64", (None, 2))), {}, "cannot carry"),
            (facts(("x", "float32", ())), {}, "cannot carry"),
            (facts(("a", "float32", (None, 2)), ("b", "float32", (None,))), {}, "of several each must be one column"),
        ],
    )
    def test_what_a_table_cannot_be(self, model: VersionFacts, parameters: dict[str, str], message: str) -> None:
        with pytest.raises(MediaError, match=message) as refused:
            csv.decode(b"1,2\n", model, parameters)
        assert refused.value.status == 415


class TestSeveralInputs:
    def test_columns_by_their_names(self) -> None:
        arrays = csv.decode(b"b,c,a\n3,x,1.5\n4,y,2.5\n", PAIR, {})
        assert arrays["a"].tolist() == [1.5, 2.5] and arrays["a"].dtype == np.float32
        assert arrays["b"].tolist() == [[3], [4]] and arrays["b"].dtype == np.int64

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"a,c\n1,2\n", 'lacks "b"; its header has "a", "c"'),
            (b"1,2\n1,2\n", 'lacks "a", "b"; its header has "1", "2"'),
            (b"a,b\n1,2\n1,2.5\n", r"row 2 \(line 3\), column 2 \(\"b\"\) is '2.5', expected int64"),
            (b"a,b\n1\n", "has 1 cells, the header has 2"),
            (b"a,b\n", "a header and no rows"),
            (b"a,b,a\n1,2,3\n", 'names the column "a" twice'),
        ],
    )
    def test_what_is_refused(self, body: bytes, message: str) -> None:
        with pytest.raises(MediaError, match=message):
            csv.decode(body, PAIR, {})

    def test_they_need_a_header(self) -> None:
        with pytest.raises(MediaError, match="need a header that names them"):
            csv.decode(b"1,2\n", PAIR, {"header": "absent"})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=8))
def test_numbers_come_back_as_they_were(table: list[list[float]]) -> None:
    text = "".join(",".join(map(repr, row)) + "\n" for row in table).encode()
    (array,) = csv.decode(text, ROWS, {"header": "absent"}).values()
    assert np.array_equal(array, np.array(table, np.float32), equal_nan=True)


@settings(max_examples=400, deadline=None)
@given(
    body=st.text(alphabet='0123456789+-.eE,"\n\r \tabx_[]é\0', max_size=60).map(str.encode) | st.binary(max_size=40),
    model=st.sampled_from([ROWS, TABLE, WHOLE, ONE, OPEN, TEXT, FLAGS, PAIR]),
    header=st.sampled_from([None, "present", "absent"]),
)
def test_both_ways_of_reading_agree(body: bytes, model: VersionFacts, header: str | None) -> None:
    """A comma that makes cells of nothing but a quoted one forces the slow way: the outcome must be the same."""
    parameters = {} if header is None else {"header": header}
    with suppress(MediaError):
        arrays = csv.decode(body, model, parameters)
        quoted = io.StringIO()
        lines = list(
            plain_csv.reader(io.StringIO(body.removeprefix(b"\xef\xbb\xbf").decode(), newline=""), strict=True)
        )
        plain_csv.writer(quoted, quoting=plain_csv.QUOTE_ALL).writerows(line for line in lines if line)
        again = csv.decode(quoted.getvalue().encode(), model, parameters)
        assert again.keys() == arrays.keys()
        for name, value in arrays.items():
            assert (
                np.array_equal(value, again[name], equal_nan=value.dtype.kind == "f")
                and value.dtype == again[name].dtype
            )


def test_a_wish_for_memory_is_not_granted() -> None:
    model = facts(("x", "float32", (None, 1_000_000)))
    with pytest.raises(MediaError, match="has 1 cells, expected 1000000"):
        csv.decode(b"1\n" * 100_000, model, {})


class TestAnswers:
    def test_a_line_a_row(self) -> None:
        assert csv_out.pack({"y": np.array([[0.5, 1], [2, 1e-9]], np.float32)}) == b"0.5,1.0\n2.0,1e-9\n"
        assert csv_out.pack({"y": np.array([3, 4], ">i8")}) == b"3\n4\n"
        assert csv_out.pack({"y": np.array([[[1], [2]], [[3], [4]]])}) == b"1,2\n3,4\n"
        assert csv_out.pack({"y": np.array([True, False])}) == b"true\nfalse\n"
        assert csv_out.pack({"y": np.array([[np.nan, np.inf]], np.float32)}) == b"nan,inf\n"
        assert csv_out.pack({"y": np.zeros((0, 3))}) == b""

    def test_several_outputs_stand_side_by_side(self) -> None:
        outputs = {"score": np.array([[0.25, 0.75]], np.float32), "label": np.array([b'a,"b'], dtype=object)}
        assert csv_out.pack(outputs, with_header=True) == b'score.0,score.1,label\n0.25,0.75,"a,""b"\n'

    def test_shortest_text_of_a_float32(self) -> None:
        value = np.array([[0.1, np.nan]], np.float32)
        assert csv_out.pack({"y": value}) == b"0.1,nan\n"

    @pytest.mark.parametrize(
        ("outputs", "message"),
        [
            ({"y": np.array(1.0)}, "is a single value"),
            ({"a": np.zeros(2), "b": np.zeros(3)}, 'differ in their numbers of rows.*"a" 2, "b" 3'),
            ({"y": np.array([b"\xff"], dtype=object)}, "no UTF-8 text"),
        ],
    )
    def test_what_has_no_lines(self, outputs: dict[str, Array], message: str) -> None:
        with pytest.raises(MediaError, match=message) as refused:
            csv_out.pack(outputs)
        assert refused.value.status == 406
