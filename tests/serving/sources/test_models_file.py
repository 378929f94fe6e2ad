"""TensorFlow Serving's model configuration file, and its text format against protobuf's own reader."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from serving.grpc.management import model_config
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.interface import Code, ModelConfig, StatusError
from serving.sources.config import Logging, check_reload, parse_models, read_models
from serving.sources.prototext import Mistakes, parse
from skylift.errors import InputError, NotFoundError

WHOLE = """
# Two models, as the guide of the original has them.
model_config_list {
  config {
    name: 'my_first_model'
    base_path: '/tmp/my_first_model/'
    model_platform: 'tensorflow'
  }
  config: {
    name: "my_second_" "model", base_path: "gs://bucket/second";
    model_platform: "tensorflow"  # a remark
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: 'stable' value: 42 }
    version_labels < key: 'canary' value: 0x2b >
    logging_config {
      log_collector_config { type: "file" filename_prefix: "/tmp/requests" }
      sampling_config { sampling_rate: 0.25 }
    }
  }
  config { name: 'all' base_path: 's3://bucket/all' model_version_policy: { all: {} } }
  config { name: 'few' base_path: 'file:///few' model_version_policy { latest { num_versions: 2 } } }
  config { name: 'old' base_path: '/old' model_type: TENSORFLOW model_version_policy { specific { versions: [1, 2] } } }
}
"""


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(InputError) as raised:
        parse_models(text, "models.config")
    assert raised.value.message.startswith("models.config: ")
    found: list[str] = raised.value.details["mistakes"]
    return found


def of_model(fields: str) -> list[str]:
    return mistakes_of(f"model_config_list {{ config {{\nname: 'm' base_path: '/m'\n{fields}\n}} }}")


def test_everything_that_the_original_takes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(WHOLE)
    found = read_models(path)
    assert list(found.models) == [
        ModelConfig("my_first_model", "/tmp/my_first_model/", "tensorflow"),
        ModelConfig(
            "my_second_model", "gs://bucket/second", "tensorflow", None, (42, 43), {"stable": 42, "canary": 43}
        ),
        ModelConfig("all", "s3://bucket/all", "", None),
        ModelConfig("few", "file:///few", "", 2),
        ModelConfig("old", "/old", "tensorflow", None, (1, 2)),
    ]
    assert found.logging == {"my_second_model": Logging(0.25, "/tmp/requests")}


def test_an_empty_list_is_a_list() -> None:
    assert parse_models("model_config_list {}", "x").models == ()


def test_all_mistakes_are_told_at_once_each_with_its_line() -> None:
    text = """model_config_list {
  config { name: 'a' base_path: 'models/a' }
  config {
    name: 'a'
    base_paht: '/a'
    model_platform: 'pytorch'
    model_version_policy { latest { num_versions: -1 } }
  }
  config {
    name: 7
    base_path: 'hdfs://cluster/b'
    version_labels { value: 1 }
    version_labels { key: 'x' value: 1.5 }
    model_type: 'TENSORFLOW'
  }
}"""
    assert mistakes_of(text) == [
        "line 2: base_path of model 'a' is 'models/a': it must be absolute",
        "line 3: base_path of model 'a' is missing",
        "line 4: model 'a' is listed a second time, first in line 2",
        "line 5: config has no field 'base_paht': is 'base_path' meant?",
        "line 6: model_platform 'pytorch' is none of tensorflow, onnx, tflite",
        "line 7: 'num_versions' is -1, which is not within 0 to 4294967295",
        "line 10: 'name' is 7, expected is a text in quotes",
        "line 10: a model has no name",
        "line 11: base_path of model '' is 'hdfs://cluster/b': folders and file://, s3://, gs://, az:// are read",
        "line 12: version_labels needs a key: version_labels { key: 'stable' value: 1 }",
        "line 13: 'value' is 1.5, expected is a whole number",
        "line 14: 'model_type' is 'TENSORFLOW', expected is one of MODEL_TYPE_UNSPECIFIED, TENSORFLOW, OTHER",
    ]


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ("model_type: OTHER", "line 3: model_type OTHER is not supported: give model_platform"),
        (
            "model_type: TENSORFLOW model_platform: 'tensorflow'",
            "line 3: model_type (deprecated) and model_platform are both given",
        ),
        ("name: 'n'", "line 3: 'name' is given twice, first in line 2"),
        ("version_labels { key: 'a' } version_labels { key: 'a' }", "line 3: label 'a' is given twice"),
        ("model_version_policy { specific {} }", "line 3: specific names no version: specific { versions: 1 }"),
        (
            "model_version_policy { latest {} all {} }",
            "line 3: model_version_policy is one of latest, all and specific, not latest and all",
        ),
        ("model_version_policy: 3", "line 3: 'model_version_policy' is a block: write model_version_policy { … }"),
        (
            "logging_config { sampling_config { sampling_rate: 1.5 } }",
            "line 3: sampling_rate is 1.5, which is not within 0 to 1",
        ),
    ],
)
def test_what_a_model_may_not_say(fields: str, mistake: str) -> None:
    assert mistake in of_model(fields)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "it lists no models: model_config_list { config { name: … base_path: … } } is expected"),
        ("model_config_list {\n config {\n", "line 3: '}' is missing for the block that begins in line 2"),
        ("model_config_list {\n config }", "line 2: ':' or '{' is expected, not '}'"),
        ("model_config_list {}\n}", "line 2: Expected identifier"),
        ("model_config_list: { config { name: } }", "line 1: a value is expected, not '}'"),
        (
            "custom_model_config { [type.googleapis.com/a.B] { x: 1 } }",
            "line 1: custom_model_config is not supported: list the models in model_config_list",
        ),
        ("model_config_list { config { name: 'a:b' base_path: '/m' } }", "line 1: model name 'a:b' has a character"),
        ("a " * 3, "line 1: ':' or '{' is expected, not 'a'"),
        ("a { " * 60, "line 1: it is nested too deeply"),
    ],
)
def test_a_text_that_is_no_configuration(text: str, mistake: str) -> None:
    (found,) = mistakes_of(text)
    assert found.startswith(mistake)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        read_models(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text file"):
        read_models(tmp_path / "binary")


_names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/:", min_codepoint=32), min_size=1)


@st.composite
def _configs(draw: st.DrawFn) -> tfs.ModelServerConfig:
    whole = tfs.ModelServerConfig()
    whole.model_config_list.SetInParent()
    for name in draw(st.lists(_names, max_size=3, unique=True)):
        one = whole.model_config_list.config.add(name=name, base_path="/" + draw(_names))
        one.model_platform = draw(st.sampled_from(["tensorflow", "", "onnx"]))
        policy = draw(st.sampled_from(["", "all", "latest", "specific"]))
        if policy == "all":
            one.model_version_policy.all.SetInParent()
        elif policy == "latest":
            one.model_version_policy.latest.num_versions = draw(st.integers(0, (1 << 32) - 1))
        elif policy == "specific":
            one.model_version_policy.specific.versions.extend(
                draw(st.lists(st.integers(0, 9), min_size=1, unique=True))
            )
        for label, version in draw(st.dictionaries(_names, st.integers(0, (1 << 63) - 1), max_size=2)).items():
            one.version_labels[label] = version
    return whole


@given(whole=_configs(), is_short=st.booleans(), one_line=st.booleans())
def test_it_means_what_protobuf_makes_of_it(whole: tfs.ModelServerConfig, is_short: bool, one_line: bool) -> None:
    text = text_format.MessageToString(
        whole, as_one_line=one_line, use_short_repeated_primitives=is_short, as_utf8=is_short
    )
    assert list(parse_models(text, "x").models) == [model_config(one) for one in whole.model_config_list.config]


@given(st.text("ab{}<>[]:;,'\"\\ \n#-.0719x/"))
def test_no_text_makes_the_reader_break(text: str) -> None:
    with contextlib.suppress(InputError):
        parse(text, Mistakes("x", ""))


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([ModelConfig("m", "/m"), ModelConfig("m", "/n")], "Illegal to list model m multiple times in config list"),
        ([ModelConfig("m", "./m")], "Expected model m to have an absolute path or URI; got base_path()=./m"),
        ([ModelConfig("m", "hdfs://m")], "Model m: base_path is 'hdfs://m': folders and file://, s3://"),
        ([ModelConfig("m", "/m", "pytorch")], "Model m requests unsupported platform pytorch"),
        (
            [ModelConfig("old", "/m", "onnx")],
            "Illegal to change a model's platform. For model old platform was tensorflow and new platform requested is onnx",
        ),
    ],
)
def test_a_reload_that_is_refused(configs: list[ModelConfig], message: str) -> None:
    with pytest.raises(StatusError) as raised:
        check_reload(configs, [ModelConfig("old", "/old", "tensorflow")])
    assert raised.value.code == Code.INVALID_ARGUMENT
    assert raised.value.message.startswith(message)


def test_a_reload_that_may_be() -> None:
    check_reload([ModelConfig("old", "/elsewhere", "tensorflow"), ModelConfig("new", "az://account/models/new")])
