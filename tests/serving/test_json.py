"""What goes in and out as JSON, beyond the published cases: the fast path agrees with the exact one, strict types, odd numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from serving.http import json_fast, json_in, json_out
from serving.http.json_in import BadRequestError, Decoded
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from tests.serving import onnx_models as models
from tests.serving.app import App, of_onnx

OUT = (Tensor("y", "float32", (None,)),)


def signature(dtype: str, *row: int) -> ModelSignature:
    return ModelSignature((Tensor("x", dtype, (None, *row)),), OUT)


def exactly(body: bytes, wanted: ModelSignature) -> Decoded:
    return json_in.decode(json_in.parse(body), DEFAULT_SIGNATURE, wanted)


def fast(body: bytes, wanted: ModelSignature) -> Decoded | None:
    decoder = json_fast.decoder(wanted)
    assert decoder is not None
    return decoder.decode(body)


class TestFastPath:
    @pytest.mark.parametrize(
        ("dtype", "row", "body"),
        [
            ("float32", (2, 2), b'{"instances": [[[1, 2.5], [-3e2, 0.1]], [[5, 6], [7, 8]]]}'),
            ("float32", (), b'{"inputs":[1,2,3]}'),
            ("float64", (3,), b'{"inputs":[[0.1,0.2,1e-300]]}'),
            ("int64", (1,), b'{"instances":[[9007199254740993],[-9223372036854775808]]}'),
            ("int32", (2,), b'{"instances":[[2147483647,-2147483648]]}'),
        ],
    )
    def test_reads_plain_numbers_as_the_exact_path_does(self, dtype: str, row: tuple[int, ...], body: bytes) -> None:
        wanted = signature(dtype, *row)
        quick, slow = fast(body, wanted), exactly(body, wanted)
        assert quick is not None
        assert quick.is_row_format == slow.is_row_format
        assert quick.inputs["x"].dtype == slow.inputs["x"].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(quick.inputs["x"], slow.inputs["x"])

    @pytest.mark.parametrize(
        "body",
        [
            b'{"instances":[[1,2],[3]]}',
            b'{"instances":[[1,2,3],[4]]}',
            b'{"instances":[[[1],[2]]]}',
            b'{"instances":[1,2]}',
            b'{"instances":[]}',
            b'{"instances":[[1,true]]}',
            b'{"instances":[["1",2]]}',
            b'{"instances":[[1,null]]}',
            b'{"instances":[[NaN,1]]}',
            b'{"instances":[[1,2]]} and more',
            b'{"instances":[{"x":[1,2]}]}',
            b'{"inputs":{"x":[[1,2]]}}',
            b'{"instances":[[1,2]],"signature_name":"serving_default"}',
            b'{"instances":[[1,2]],"instances":[[3,4]]}',
            b'{"other":[[1,2]]}',
            b"[[1,2]]",
            b"",
            b"{",
        ],
    )
    def test_leaves_what_it_is_not_sure_of(self, body: bytes) -> None:
        assert fast(body, signature("float32", 2)) is None

    def test_leaves_floats_for_integers_and_numbers_out_of_range(self) -> None:
        assert fast(b'{"instances":[[1.0]]}', signature("int32", 1)) is None
        assert fast(b'{"instances":[[2147483648]]}', signature("int32", 1)) is None
        assert fast(b'{"instances":[[9223372036854775808]]}', signature("int64", 1)) is None

    @given(
        st.recursive(
            st.one_of(st.integers(-(2**40), 2**40), st.floats(width=32), st.booleans(), st.none(), st.text(max_size=3)),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=12,
        )
    )
    def test_never_answers_otherwise_than_the_exact_path(self, value: Any) -> None:
        wanted = signature("float32", 2)
        body = json.dumps({"instances": value}).encode()
        quick = fast(body, wanted)
        if quick is not None:
            np.testing.assert_array_equal(quick.inputs["x"], exactly(body, wanted).inputs["x"])


class TestExactPath:
    @pytest.mark.parametrize("depth", [10_000, 500_000])
    def test_deep_nesting_is_a_clients_mistake(self, depth: int) -> None:
        body = b'{"instances":' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(BadRequestError, match="nested too deeply"):
            exactly(body, signature("float32"))

    def test_too_great_is_infinite(self) -> None:
        body = b'{"instances":[1e39, -1e400, ' + b"9" * 400 + b", 1e-50]}"
        np.testing.assert_array_equal(exactly(body, signature("float32")).inputs["x"], [np.inf, -np.inf, np.inf, 0])

    def test_a_number_with_thousands_of_digits_is_a_clients_mistake(self) -> None:
        with pytest.raises(BadRequestError, match="Number too big"):
            exactly(b'{"instances":[' + b"9" * 5000 + b"]}", signature("float32"))

    @pytest.mark.parametrize(
        ("dtype", "text", "kind"),
        [
            ("int32", b"1.0", "Number"),
            ("int32", b"2147483648", "Number"),
            ("int64", b"true", "True"),
            ("uint64", b"-1", "Number"),
            ("float32", b"false", "False"),
            ("float32", b"null", "Null"),
            ("bool", b"1", "Number"),
            ("string", b"1", "Number"),
            ("float32", b'{"b64":"aGk="}', "Object"),
        ],
    )
    def test_types_are_strict(self, dtype: str, text: bytes, kind: str) -> None:
        with pytest.raises(BadRequestError, match=f"Type: {kind} is not of expected type"):
            exactly(b'{"inputs":[' + text + b"]}", signature(dtype))

    def test_small_integers_wrap_around_as_in_the_original(self) -> None:
        np.testing.assert_array_equal(exactly(b'{"inputs":[300,-1]}', signature("uint8")).inputs["x"], [44, 255])

    def test_text_behind_the_first_value_does_not_matter(self) -> None:
        np.testing.assert_array_equal(exactly(b'{"inputs":[1]} [', signature("float32")).inputs["x"], [1])

    @pytest.mark.parametrize(
        "text", ["\\ud800", "\\udc00", "\\ud83dx", "\\uD83D\\u0041", "\\\\\\ud800", "\\ude00\\ud83d"]
    )
    def test_half_a_surrogate_pair_is_a_clients_mistake(self, text: str) -> None:
        with pytest.raises(BadRequestError, match="surrogate pair"):
            exactly(f'{{"inputs":["{text}"]}}'.encode(), signature("string"))

    @pytest.mark.parametrize(("text", "value"), [("\\ud83d\\ude00", "😀"), ("\\\\ud800", "\\ud800"), ("\\u00e9", "é")])
    def test_other_escapes_are_read(self, text: str, value: str) -> None:
        decoded = exactly(f'{{"inputs":["{text}"]}}'.encode(), signature("string"))
        assert decoded.inputs["x"].tolist() == [value.encode()]

    def test_a_long_value_is_cut_in_the_message(self) -> None:
        with pytest.raises(BadRequestError) as refused:
            exactly(json.dumps({"instances": "x" * 100_000}).encode(), signature("float32"))
        assert len(str(refused.value)) < 600

    def test_text_comes_back_as_it_was_and_other_bytes_are_refused_by_name(self, tmp_path: Path) -> None:
        app = of_onnx(
            tmp_path / "m.onnx", models.identity(TensorProto.STRING), [("default", "string")], [("y", "string")]
        )
        assert json.loads(app.predict('{"instances":["café \\u0000"]}').body) == {"predictions": ["café \0"]}
        refused = app.predict(b'{"instances":["\xff"]}')
        assert refused.status == 400
        assert 'input "default" must be UTF-8' in json.loads(refused.body)["error"]


class TestOut:
    def test_nan_and_infinity_are_bare(self) -> None:
        outputs = {"y": np.array([[np.nan, 0.1], [np.inf, -np.inf]], np.float32)}
        assert json_out.rows(outputs) == b'{"predictions":[[NaN, 0.1], [Infinity, -Infinity]]}'

    def test_a_float_is_written_no_longer_than_it_is(self) -> None:
        assert json_out.columns({"y": np.float32([0.1])}) == b'{"outputs":[0.1]}'

    def test_a_scalar_has_a_column_but_no_row(self) -> None:
        assert json_out.columns({"y": np.array(3.0, np.float32)}) == b'{"outputs":3.0}'
        with pytest.raises(BadRequestError, match="no shape information"):
            json_out.rows({"y": np.array(3.0, np.float32)})

    def test_half_cannot_be_written(self) -> None:
        with pytest.raises(BadRequestError, match="Failed to write JSON value for tensor type: half"):
            json_out.rows({"y": np.float16([1])})

    def test_parts_of_arrays_are_written_right(self) -> None:
        whole = np.arange(6, dtype=np.int32).reshape(2, 3)
        assert json_out.rows({"y": whole[:, ::2]}) == b'{"predictions":[[0,2],[3,5]]}'


class TestShapes:
    @pytest.fixture
    def app(self, tmp_path: Path) -> App:
        return of_onnx(tmp_path / "m.onnx", models.scale(2), [("x", "float32")], [("y", "float32")])

    def test_a_wrong_shape_is_told_by_name_given_and_expected(self, app: App) -> None:
        answer = app.predict({"instances": [[1, 2, 3, 4]]})
        assert answer.status == 400
        assert json.loads(answer.body)["error"] == 'input "x" has shape [1,4], the model takes [?,3]'

    def test_a_wrong_rank_too(self, app: App) -> None:
        assert app.predict({"instances": [1, 2, 3]}).status == 400

    def test_versions_and_codings(self, app: App) -> None:
        body = b'{"instances":[[1,2,3]]}'
        assert app.ask("POST", "/v1/models/m/versions/123:predict", body).status == 200
        assert app.ask("POST", "/v1/models/m/versions/124:predict", body).status == 404
        assert app.ask("POST", "/v1/models/m/versions/99999999999999999999:predict", body).status == 400
        assert app.ask("POST", "/v1/models/%6d:predict?x=1", body).status == 200
        assert app.ask("POST", "/v1/models/m:predict", body, {"Content-Encoding": "br"}).status == 415

    def test_every_answer_of_a_model_names_its_version(self, app: App) -> None:
        assert b"X-Skylift-Model-Version: 123\r\n" in app.predict({"instances": [[1, 2, 3]]}).extra
        assert b"X-Skylift-Deployment: 1\r\n" in app.predict({"instances": [[1]]}).extra
