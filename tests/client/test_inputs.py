"""What people give to `predict`, and what is said when it does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skylift.artifacts.records import TaskInfo, TensorSpec
from skylift.client import inputs
from skylift.errors import InputError

DIGIT = [TensorSpec(name="image", dtype="float32", shape=[None, 28, 28, 1])]
COLOUR = [TensorSpec(name="image", dtype="uint8", shape=[None, 4, 6, 3])]
ROW = [TensorSpec(name="x", dtype="float32", shape=[None, 3])]
WHOLE = [TensorSpec(name="x", dtype="uint8", shape=[None, 3])]
TEXT = [TensorSpec(name="text", dtype="string", shape=[None])]
TWO = [
    TensorSpec(name="age", dtype="int64", shape=[None]),
    TensorSpec(name="name", dtype="string", shape=[None]),
]
BYTES = [TensorSpec(name="text", dtype="uint8", shape=[None, 6])]
PLAIN = TaskInfo()
WORDS = TaskInfo(kind="classification", input_kind="text")
DARK = TaskInfo(kind="classification", input_kind="image", dark_background=True)
TABLE = TaskInfo(kind="regression", input_kind="tabular", input_names=["a", "b", "c"])


def read(source: Any, specs: list[TensorSpec] = ROW, task: TaskInfo = PLAIN, **options: Any) -> inputs.Given:
    return inputs.read(source, specs, task, **options)


def plain(given: inputs.Given) -> Any:
    return given.rows if isinstance(given.rows, list) else given.rows.tolist()


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class TestJson:
    @pytest.mark.parametrize(
        ("text", "rows"),
        [
            ("[1, 2, 3]", [[1, 2, 3]]),
            ("[[1, 2, 3]]", [[1, 2, 3]]),
            ("[[1, 2, 3], [4, 5, 6]]", [[1, 2, 3], [4, 5, 6]]),
            ('{"instances": [[1, 2, 3]]}', [[1, 2, 3]]),
            ('{"signature_name": "serving_default", "instances": [{"x": [1, 2, 3]}]}', [[1, 2, 3]]),
            ('{"inputs": [[1, 2, 3], [4, 5, 6]]}', [[1, 2, 3], [4, 5, 6]]),
            ('{"inputs": {"x": [[1, 2, 3], [4, 5, 6]]}}', [[1, 2, 3], [4, 5, 6]]),
            ('{"x": [1, 2, 3]}', [[1, 2, 3]]),
        ],
    )
    def test_one_row_a_batch_and_both_formats_of_a_request(self, tmp_path: Path, text: str, rows: Any) -> None:
        assert plain(read(file(tmp_path, "rows.json", text))) == rows
        assert plain(read(inputs.parse_json(text))) == rows

    def test_several_inputs_by_row_and_by_column(self, tmp_path: Path) -> None:
        rows = [{"age": 1, "name": "a"}, {"age": 2, "name": "b"}]
        assert plain(read(rows, TWO)) == rows
        columns = file(tmp_path, "c.json", json.dumps({"inputs": {"age": [1, 2], "name": ["a", "b"]}}))
        assert plain(read(columns, TWO)) == rows

    @pytest.mark.parametrize("value", [[[1, 2]], [{"age": 1}], [{"age": 1, "name": "a", "more": 2}], [], 5])
    def test_several_inputs_that_are_not_all_there(self, value: Any) -> None:
        with pytest.raises(InputError) as told:
            read(value, TWO)
        assert "age, name" in told.value.hint

    def test_columns_of_different_lengths(self) -> None:
        with pytest.raises(InputError, match="age 2, name 1"):
            inputs.parse_json('{"inputs": {"age": [1, 2], "name": ["a"]}}')

    @pytest.mark.parametrize("text", ["[1, 2", "", "one", "[" * 100_000])
    def test_what_is_no_json(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(InputError, match=r"rows\.json is not JSON"):
            read(file(tmp_path, "rows.json", text))

    def test_text(self) -> None:
        assert plain(read(["good"], TEXT)) == ["good"]


class TestNpy:
    @pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28), (784,), (1, 28, 28, 1), (1, 784), (5, 28, 28), (5, 784)])
    def test_shapes_that_can_only_mean_one_thing(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        array = np.arange(np.prod(shape)).reshape(shape) % 256
        np.save(tmp_path / "digit.npy", array)
        given = read(tmp_path / "digit.npy", DIGIT)
        assert isinstance(given.rows, np.ndarray)
        assert given.rows.shape == (len(array.ravel()) // 784, 28, 28, 1)
        assert given.rows.dtype == np.float32
        assert np.array_equal(given.rows.ravel(), array.ravel())

    @pytest.mark.parametrize("shape", [(27, 27), (10,), (2, 3, 28, 28), (28, 28, 3)])
    def test_one_that_does_not_fit_names_both_shapes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "odd.npy", np.zeros(shape))
        with pytest.raises(InputError) as told:
            read(tmp_path / "odd.npy", DIGIT)
        assert str(list(shape)) in told.value.message and "[rows, 28, 28, 1] float32" in told.value.message
        assert told.value.details == {"given": list(shape), "wanted": [None, 28, 28, 1]}

    @pytest.mark.parametrize("shape", [(0,), (0, 784), (0, 28, 28, 1)])
    def test_no_rows(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "none.npy", np.zeros(shape))
        with pytest.raises(InputError, match="holds no rows"):
            read(tmp_path / "none.npy", DIGIT)

    @pytest.mark.parametrize("content", [b"", b"not numpy at all", b"\x93NUMPY\x01\x00"])
    def test_one_that_is_broken(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(InputError, match=r"rows\.npy cannot be read"):
            read(file(tmp_path, "rows.npy", content))

    def test_pickled_objects_are_never_loaded(self, tmp_path: Path) -> None:
        np.save(tmp_path / "rows.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "rows.npy")


class TestNumbers:
    def test_whole_floats_become_whole_numbers(self) -> None:
        assert plain(read([1.0, 2.0, 3.0], WHOLE)) == [[1, 2, 3]]

    @pytest.mark.parametrize("value", [[1.5, 2, 3], [300.0, 2, 3], [300, 2, 3], [-1, 2, 3], [float("nan"), 1, 2]])
    def test_no_number_silently_becomes_another(self, value: Any) -> None:
        with pytest.raises(InputError, match="uint8"):
            read(value, WHOLE)

    @pytest.mark.parametrize("value", [np.array([300, 2, 3]), np.array([-1, 2, 3])])
    def test_nor_does_one_of_an_array(self, value: Any) -> None:
        with pytest.raises(InputError, match="uint8"):
            read(value, WHOLE)

    @pytest.mark.parametrize("value", [[[1, 2, 3], [4]], [["a", "b", "c"]], {"y": [1, 2, 3]}, None])
    def test_what_is_no_array(self, value: Any) -> None:
        with pytest.raises(InputError, match="float32"):
            read(value)


class TestImages:
    def picture(self, folder: Path, mode: str = "L", size: tuple[int, int] = (28, 28), light: Any = 0) -> Path:
        path = folder / "digit.png"
        Image.new(mode, size, light).save(path)
        return path

    def test_one_of_the_models_size_comes_as_it_is(self, tmp_path: Path) -> None:
        pixels = np.arange(784, dtype=np.uint8).reshape(28, 28)
        Image.fromarray(pixels).save(tmp_path / "d.png")
        given = read(tmp_path / "d.png", DIGIT)
        assert np.array_equal(np.asarray(given.rows)[0, :, :, 0], pixels)
        assert given.notes == ()

    def test_another_size_is_scaled_and_that_is_said(self, tmp_path: Path) -> None:
        given = read(self.picture(tmp_path, size=(100, 50)), DIGIT, DARK)
        assert np.asarray(given.rows).shape == (1, 28, 28, 1)
        assert given.notes == ("scaled from 100x50 to 28x28",)

    def test_colours_where_the_model_takes_colours(self, tmp_path: Path) -> None:
        given = read(self.picture(tmp_path, "RGB", (6, 4), (1, 2, 3)), COLOUR)
        rows = np.asarray(given.rows)
        assert (rows.shape, rows.dtype, rows[0, 0, 0].tolist()) == ((1, 4, 6, 3), np.uint8, [1, 2, 3])

    @pytest.mark.parametrize(
        ("light", "dark", "invert", "advice"),
        [
            (255, True, False, "try --invert"),
            (0, False, False, "try --invert"),
            (0, True, True, "try without --invert"),
            (0, True, False, ""),
            (255, True, True, ""),
        ],
    )
    def test_one_that_looks_the_other_way_round(
        self, tmp_path: Path, light: int, dark: bool, invert: bool, advice: str
    ) -> None:
        task = TaskInfo(input_kind="image", dark_background=dark)
        given = read(self.picture(tmp_path, light=light), DIGIT, task, invert=invert)
        assert [note.endswith(advice) for note in given.notes] == ([True] if advice else [])
        assert set(np.asarray(given.rows).ravel()) == {255 - light if invert else light}

    def test_black_on_nothing_is_black_on_white(self, tmp_path: Path) -> None:
        picture = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
        picture.paste((0, 0, 0, 255), (10, 10, 18, 18))
        picture.save(tmp_path / "d.png")
        given = read(tmp_path / "d.png", DIGIT, DARK)
        pixels = np.asarray(given.rows)[0, :, :, 0]
        assert (pixels[0, 0], pixels[14, 14]) == (255, 0)
        assert any("transparent" in note for note in given.notes)

    def test_sixteen_bits_are_not_all_white(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((28, 28), 32896, np.uint16)).save(tmp_path / "d.png")
        assert set(np.asarray(read(tmp_path / "d.png", DIGIT).rows).ravel()) == {128}

    def test_a_photograph_that_lies_on_its_side_is_put_upright(self, tmp_path: Path) -> None:
        pixels = np.zeros((6, 4, 3), np.uint8)
        pixels[0] = 255
        turned = Image.Exif()
        turned[0x0112] = 6  # turn by 90 degrees, clockwise
        Image.fromarray(pixels).save(tmp_path / "d.png", exif=turned)
        rows = np.asarray(read(tmp_path / "d.png", COLOUR).rows)
        assert rows.shape == (1, 4, 6, 3) and rows[0, :, -1].min() == 255 and rows[0, :, 0].max() == 0

    @pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\x00\x00"])
    def test_what_is_no_image(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(InputError, match="is no image"):
            read(file(tmp_path, "d.png", content), DIGIT)

    def test_a_truncated_one(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "d.png")
        whole = (tmp_path / "d.png").read_bytes()
        with pytest.raises(InputError, match="is no image that can be read"):
            read(file(tmp_path, "d.png", whole[: len(whole) // 2]), DIGIT)

    def test_a_model_that_takes_none(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"takes no image, its input is \[rows, 3\] float32"):
            read(self.picture(tmp_path))
        with pytest.raises(InputError, match="takes no image"):
            read(self.picture(tmp_path), TWO)


class TestCsv:
    def test_without_a_header(self, tmp_path: Path) -> None:
        assert plain(read(file(tmp_path, "r.csv", "1,2,3\n4,5,6\n\n"))) == [[1, 2, 3], [4, 5, 6]]

    def test_a_header_puts_columns_in_the_models_order_and_leaves_others(self, tmp_path: Path) -> None:
        path = file(tmp_path, "r.csv", "c, a,note,b\n3,1,hello,2\n6,4,,5\n")
        assert plain(read(path, task=TABLE)) == [[1, 2, 3], [4, 5, 6]]

    def test_a_header_that_the_model_knows_nothing_of_is_passed_over(self, tmp_path: Path) -> None:
        assert plain(read(file(tmp_path, "r.csv", "p,q,r\n1,2,3\n"))) == [[1, 2, 3]]

    @pytest.mark.parametrize("header", ["", "a,b,c\n"])
    def test_a_spreadsheets_mark_at_the_beginning_hides_no_row(self, tmp_path: Path, header: str) -> None:
        assert plain(read(file(tmp_path, "r.csv", f"\ufeff{header}1,2,3\n"), task=TABLE)) == [[1, 2, 3]]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("b,c\n1,2\n", "lacks the columns a"),
            ("a,b,c\n1,2,3\n4,x,6\n", "line 3: 'x' is no number"),
            ("1,2,3\n4,,6\n", "line 2: '' is no number"),
            ("1,oops,3\n4,5,6\n", "line 1: 'oops' is no number"),
            ("c,a,b\n1,2\n", "line 2 has 2 cells, not 3"),
            ("1,2,3\n4,5\n", "line 2 has 2 cells, not 3"),
            ("a,b,c\n", "holds no rows"),
            ("\n\n", "holds no rows"),
            ("1,2\n", "has shape [1, 2], the model takes [rows, 3] float32"),
        ],
    )
    def test_mistakes_are_told_by_line(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(InputError) as told:
            read(file(tmp_path, "r.csv", text), task=TABLE)
        assert said in told.value.message and told.value.hint

    def test_a_model_of_text_takes_none(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="takes text"):
            read(file(tmp_path, "r.csv", "good\nbad\n"), TEXT)


class TestTextAsBytes:
    def test_texts_become_rows_of_their_bytes(self, tmp_path: Path) -> None:
        wanted = [[ord("j"), ord("a"), 0, 0, 0, 0], [*"Öl".encode(), 0, 0, 0]]
        assert plain(read(["ja", "Öl"], BYTES, WORDS)) == wanted
        assert (
            plain(read(file(tmp_path, "t.json", '{"instances": [{"text": "ja"}, {"text": "Öl"}]}'), BYTES, WORDS))
            == wanted
        )
        assert plain(read({"text": "ja"}, BYTES, WORDS)) == wanted[:1]

    def test_rows_of_numbers_are_taken_as_they_are(self) -> None:
        row = [106, 97, 0, 0, 0, 0]
        assert plain(read(row, BYTES, WORDS)) == plain(read([row], BYTES, WORDS)) == [row]

    def test_a_text_file_is_one_text(self, tmp_path: Path) -> None:
        given = read(file(tmp_path, "t.txt", "a\nb\n"), BYTES, WORDS)
        assert plain(given) == [[97, 10, 98, 0, 0, 0]] and given.notes == ()
        assert plain(read(file(tmp_path, "t.txt", "good\n"), TEXT)) == ["good"]

    def test_what_is_cut_off_is_said(self) -> None:
        given = read(["short", "much longer"], BYTES, WORDS)
        assert given.notes == ("the model reads 6 bytes of a text: 1 of 2 were cut off there",)

    @pytest.mark.parametrize(
        ("name", "content", "specs", "task", "said"),
        [
            ("t.txt", " \n", BYTES, WORDS, "holds no text"),
            ("t.txt", "good", ROW, PLAIN, "takes no text"),
            ("t.txt", b"\xff\xfe", BYTES, WORDS, "cannot be read"),
            ("t.json", '["good", " "]', BYTES, WORDS, "text 1 is empty"),
            ("t.csv", "good\nbad\n", BYTES, WORDS, r"\.csv is for numbers"),
            ("t.json", '["good"]', WHOLE, PLAIN, "is no array of uint8"),
        ],
    )
    def test_what_is_no_text_or_no_model_for_it_is_refused(
        self, tmp_path: Path, name: str, content: str | bytes, specs: list[TensorSpec], task: TaskInfo, said: str
    ) -> None:
        with pytest.raises(InputError, match=said):
            read(file(tmp_path, name, content), specs, task)


class TestFiles:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"there is no file .*d\.png"):
            read(tmp_path / "d.png")

    @pytest.mark.parametrize("name", ["rows.txt", "rows"])
    def test_an_ending_that_is_not_known(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError) as told:
            read(str(file(tmp_path, name, "1")))
        assert ".csv" in told.value.hint

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        for name in ("r.json", "r.csv"):
            with pytest.raises(InputError, match="cannot be read"):
                read(file(tmp_path, name, b"\xff\xfe\xff"))
