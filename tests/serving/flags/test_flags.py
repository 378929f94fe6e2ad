"""tensorflow_model_server's command line: what is taken, what has no effect, what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batching.options import BatchOptions
from serving.flags.files import parse_batching
from serving.flags.options import TfsOptions
from serving.flags.parsing import parse
from serving.flags.reading import is_tensorflow_serving
from serving.flags.table import ALIASES, FLAGS, usage
from serving.interface import ModelConfig
from serving.sources.config import Logging
from skylift.errors import InputError, NotFoundError, SkyliftError

MODEL = "--model_base_path=/models/m"
OWN = {"workers": True, "host": True, "spare-memory": False}


def of(*arguments: str) -> TfsOptions:
    return parse([MODEL, *arguments], OWN)


def mistakes(*arguments: str) -> list[str]:
    with pytest.raises(InputError) as raised:
        parse(arguments, OWN)
    found: list[str] = raised.value.details["mistakes"]
    assert raised.value.message == "; ".join(found)
    return found


def file(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_what_the_images_entry_point_says_is_understood() -> None:
    """https://github.com/tensorflow/serving/blob/master/tensorflow_serving/tools/docker/Dockerfile"""
    arguments = ["--port=8500", "--rest_api_port=8501", "--model_name=resnet", "--model_base_path=/models/resnet"]
    assert is_tensorflow_serving(arguments)
    assert parse(arguments) == TfsOptions(
        http_port=8501, grpc_port=8500, models=(ModelConfig("resnet", "/models/resnet"),)
    )


def test_what_nobody_says_is_what_the_original_does() -> None:
    assert of() == TfsOptions(
        host="0.0.0.0",
        http_port=None,
        grpc_port=8500,
        request_seconds=30.0,
        models=(ModelConfig("default", "/models/m"),),
        max_retries=5,
        retry_seconds=60.0,
        warmup_iterations=1,
        saved_model_tags=("serve",),
    )


@pytest.mark.parametrize(
    ("arguments", "is_theirs"),
    [
        ([], False),
        (["--endpoint", "file:///keep/endpoints/a", "--port", "8501"], False),
        (["--model", "m=/m", "--grpc-port=8500"], False),
        (["--port=8500"], False),
        (["--version"], False),
        (["--model_name=m"], True),
        (["--model_name", "m"], True),
        (["--enable_batching"], True),
        (["--noenable_batching"], True),
        (["--use_tflite_model"], True),
        (["--workers", "model_name"], False),
        (["-model_name=m"], False),
    ],
)
def test_whose_command_line_it_is(arguments: list[str], is_theirs: bool) -> None:
    assert is_tensorflow_serving(arguments) is is_theirs


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rest_api_enable_cors_support"], True),
        (["--rest_api_enable_cors_support=true"], True),
        (["--rest_api_enable_cors_support", "true"], True),
        (["--rest_api_enable_cors_support=1"], True),
        (["--rest_api_enable_cors_support=false"], False),
        (["--rest_api_enable_cors_support", "false"], False),
        (["--norest_api_enable_cors_support"], False),
        (["--enable_cors_support"], True),
        (["--noenable_cors_support"], False),
        (["--rest_api_enable_cors_support", "--rest_api_enable_cors_support=false"], False),
        (["--rest_api_enable_cors_support", "--port=1"], True),
    ],
)
def test_every_way_to_say_yes_and_no(arguments: list[str], expected: bool) -> None:
    assert of(*arguments).cors is expected


def test_every_honoured_flag_has_its_option(tmp_path: Path) -> None:
    ssl = file(tmp_path, "ssl", "")
    options = of(
        "--port",
        "0",
        "--grpc_socket_path=/run/grpc",
        "--rest_api_port=80",
        "--rest_api_timeout_in_ms=1500",
        f"--ssl_config_file={ssl}",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb=pick,big=99999999999",
        "--model_name=m",
        "--file_system_poll_wait_seconds=0",
        "--max_num_load_retries=2",
        "--load_retry_interval_micros=-1",
        "--allow_version_labels_for_unavailable_models",
        "--saved_model_tags=gpu,serve",
        "--num_request_iterations_for_warmup=3",
        "--enable_signature_method_name_check",
        "--enable_serialization_as_tensor_content",
        "--enable_batching",
        "--enable_per_model_batching_parameters",
        "--tensorflow_session_parallelism=4",
        "--tensorflow_inter_op_parallelism=2",
        "--per_process_gpu_memory_fraction=0.5",
        "--prefer_tflite_model",
    )
    assert options == TfsOptions(
        http_port=80,
        grpc_socket="/run/grpc",
        request_seconds=1.5,
        ssl_config_file=ssl,
        grpc_arguments=(("grpc.max_connection_age_ms", 2000), ("grpc.lb", "pick"), ("big", "99999999999")),
        models=(ModelConfig("m", "/models/m"),),
        poll_seconds=0.0,
        max_retries=2,
        retry_seconds=0.0,
        allow_unavailable_labels=True,
        saved_model_tags=("gpu", "serve"),
        warmup_iterations=3,
        check_method_names=True,
        tensor_content=True,
        per_model_batching=True,
        threads=4,
        inter_op_threads=2,
        gpu_memory_fraction=0.5,
        prefer_tflite=True,
    )


def test_warm_up_can_be_turned_off() -> None:
    assert of("--enable_model_warmup=false", "--num_request_iterations_for_warmup=3").warmup_iterations == 0


def test_options_of_ours_may_stand_between() -> None:
    options = of("--workers", "4", "--host=127.0.0.1", "--spare-memory", "--port=1")
    assert options.own == ("--workers", "4", "--host=127.0.0.1", "--spare-memory")
    assert options.grpc_port == 1


def test_what_has_no_effect_is_said_with_the_reason() -> None:
    notes = of("--rest_api_num_threads=8", "--flush_filesystem_caches", "--xla_cpu_compilation_enabled").notes
    assert notes == (
        "--rest_api_num_threads has no effect: requests are answered by event loops, not by threads; --workers sets how many"
        " processes there are",
        "--xla_cpu_compilation_enabled has no effect: models that ask for XLA are always compiled",
    )


def test_every_mistake_is_told_at_once() -> None:
    assert mistakes(
        "serve",
        "--rest_api_prot=8501",
        "--port=70000",
        "--enable_batching=maybe",
        "--max_num_load_retries=five",
        "--noprefer_tflite_model=true",
        "--platform_config_file=/x",
        "--tensorflow_session_config_file=/y",
        "--use_alts_credentials",
        "--file_system_poll_wait_seconds=-1",
        "--per_process_gpu_memory_fraction=2",
        "--grpc_channel_arguments=x",
        "--batching_parameters_file=/z",
        "--model_base_path=models/m",
        "--model_name",
    ) == [
        "'serve' is no flag",
        "there is no flag --rest_api_prot: is --rest_api_port meant?",
        "--enable_batching is 'maybe', expected is true or false",
        "--max_num_load_retries is 'five', expected is a whole number",
        "--noprefer_tflite_model takes no value",
        "--model_name has no value",
        "--platform_config_file cannot be honoured: use --saved_model_tags, --batching_parameters_file and the flags for"
        " threads and memory",
        "--tensorflow_session_config_file cannot be honoured: use --tensorflow_intra_op_parallelism,"
        " --tensorflow_inter_op_parallelism, --per_process_gpu_memory_fraction",
        "--use_alts_credentials cannot be honoured: use --ssl_config_file: ALTS is Google's own",
        "--port is 70000, which is not within 0 to 65535",
        "--grpc_channel_arguments has 'x', expected is name=value",
        "--file_system_poll_wait_seconds is -1: never to look is for the original's tests; 0 looks once",
        "--per_process_gpu_memory_fraction is 2, which is not within 0 to 1",
        "--batching_parameters_file is set without --enable_batching",
        "--model_base_path is 'models/m': it must be absolute",
    ]


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        (
            ["--model_name=m"],
            "Both --model_base_path and --model_config_file are empty: one of them says what to serve",
        ),
        ([MODEL, "--port=0"], "--port, --grpc_socket_path and --rest_api_port name nowhere to listen"),
        ([MODEL, "--rest_api_port=8500"], "--rest_api_port and --port are both 8500: they must differ"),
        (
            [MODEL, "--model_name=a/b"],
            "--model_name: model name 'a/b' has a character that no request can send: / or :",
        ),
        (
            [MODEL, "--mixed_precision=bfloat16"],
            "--mixed_precision cannot be honoured: export the model in the precision",
        ),
        ([MODEL, "--port=99999999999999999999"], "--port is '99999999999999999999', expected is a whole number"),
        ([MODEL, "--wrokers=3"], "there is no flag --wrokers: is --workers meant?"),
    ],
)
def test_what_cannot_be(arguments: list[str], mistake: str) -> None:
    (found,) = mistakes(*arguments)
    assert found.startswith(mistake)


def test_refused_flags_may_be_given_what_is_usual() -> None:
    assert of("--use_alts_credentials=false", "--platform_config_file=").notes == ()


@pytest.mark.parametrize(("argument", "shown"), [("--help", "help"), ("--version", "version")])
def test_help_and_version_need_nothing_else(argument: str, shown: str) -> None:
    assert parse(["--model_name=m", argument]).show == shown


def test_the_help_names_every_flag() -> None:
    for name, flag in FLAGS.items():
        assert f"--{name}=" in usage()
        assert flag.why
    assert set(ALIASES.values()) <= set(FLAGS)


def test_the_page_names_every_flag() -> None:
    page = (Path(__file__).parents[3] / "docs" / "serving-sources.md").read_text()
    assert [name for name in (*FLAGS, *ALIASES) if f"`--{name}`" not in page] == []


MODELS = """model_config_list {
  config { name: 'a' base_path: '/a' logging_config { sampling_config { sampling_rate: 0.5 } } }
  config { name: 'b' base_path: 's3://bucket/b' }
}"""


def test_a_models_file_names_the_models(tmp_path: Path) -> None:
    path = file(tmp_path, "models.config", MODELS)
    options = parse([f"--model_config_file={path}", "--model_config_file_poll_wait_seconds=60", "--model_name=x"])
    assert options.models == (ModelConfig("a", "/a"), ModelConfig("b", "s3://bucket/b"))
    assert options.logging == {"a": Logging(0.5)}
    assert (options.models_file, options.models_poll_seconds) == (path, 60.0)
    assert options.notes == ("--model_name has no effect: --model_config_file names the models",)


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    models = file(tmp_path, "models", "model_config_list { config { name: 'a' base_path: 'a' } }")
    batching = file(tmp_path, "batching", "max_batch_size: 3")
    with pytest.raises(InputError) as raised:
        parse([f"--model_config_file={models}", "--enable_batching", f"--batching_parameters_file={batching}"])
    assert raised.value.message == (
        f"{models}: line 1: base_path of model 'a' is 'a': it must be absolute;"
        f" {batching}: line 1: 'max_batch_size' is a block: write max_batch_size {{ … }}"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot read /none: No such file"):
        parse(["--model_config_file=/none"])


BATCHING = """
max_batch_size { value: 128 }   # as the batching guide of the original has it
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 8 }
thread_pool_name { value: 'pool' }
allowed_batch_sizes: [8, 32]
allowed_batch_sizes: 128
pad_variable_length_inputs: true
"""


def test_batching_parameters_become_options_of_the_batcher(tmp_path: Path) -> None:
    path = file(tmp_path, "batching.config", BATCHING)
    options = of("--enable_batching", f"--batching_parameters_file={path}")
    assert options.batching == BatchOptions(
        max_batch_rows=128,
        queue_rows=12_800,
        max_delay_seconds=0.005,
        allowed_rows=(8, 32, 128),
        pad_variable=True,
        tune=False,
    )
    assert [note.partition(" has no effect")[0] for note in options.notes] == ["num_batch_threads", "thread_pool_name"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", BatchOptions(max_batch_rows=1000, queue_rows=10_000)),
        (
            "max_batch_size { value: 100 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 10 }",
            BatchOptions(max_batch_rows=10, queue_rows=100, tune=False),
        ),
        (
            "max_batch_size { value: 100 } max_execution_batch_size { value: 10 }",
            BatchOptions(max_batch_rows=100, queue_rows=1000, tune=False),
        ),
    ],
)
def test_what_a_batching_file_leaves_out(text: str, options: BatchOptions) -> None:
    assert parse_batching(text, "x")[0] == options


def test_mistakes_of_a_batching_file_are_told_at_once() -> None:
    with pytest.raises(InputError) as raised:
        parse_batching(
            "max_batch_size { value: 0 }\nbatch_timeout_micros { value: -1 }\nnum_batch_threads { value: 'x' }\n"
            "allowed_batch_sizes: [4, 2]\nmax_enqued_batches { value: 1 }\npad_variable_length_inputs: 3",
            "x",
        )
    assert raised.value.details["mistakes"] == [
        "line 1: 'value' is 0, which is not within 1 to 9223372036854775807",
        "line 2: 'value' is -1, which is not within 0 to 9223372036854775807",
        "line 3: 'value' is 'x', expected is a whole number",
        "line 4: allowed_batch_sizes must be in increasing order",
        "line 5: BatchingParameters has no field 'max_enqued_batches': is 'max_enqueued_batches' meant?",
        "line 6: 'pad_variable_length_inputs' is 3, expected is true or false",
    ]
    with pytest.raises(InputError, match="the last of allowed_batch_sizes is 2, it must equal the largest batch, 3"):
        parse_batching("max_batch_size { value: 3 } allowed_batch_sizes: 2", "x")


@pytest.mark.parametrize(
    ("text", "path", "notes"),
    [
        ("", "", ()),
        ("prometheus_config { enable: true }", "", ()),
        ("prometheus_config { enable: true path: '/metrics/tfs' }", "/metrics/tfs", ()),
        (
            "prometheus_config { enable: false }",
            "",
            ("metrics stay on: prometheus_config does not turn them off",),
        ),
    ],
)
def test_where_metrics_are(tmp_path: Path, text: str, path: str, notes: tuple[str, ...]) -> None:
    options = of(f"--monitoring_config_file={file(tmp_path, 'monitoring', text)}")
    assert (options.metrics_path, options.notes) == (path, notes)


def test_a_path_of_metrics_begins_with_a_slash(tmp_path: Path) -> None:
    path = file(tmp_path, "monitoring", "prometheus_config {\n enable: true path: 'metrics' }")
    with pytest.raises(InputError, match="line 2: path 'metrics' must begin with /"):
        of(f"--monitoring_config_file={path}")


_ARGUMENTS = st.one_of(
    st.sampled_from([f"--{name}" for name in (*FLAGS, *ALIASES, *OWN)]),
    st.builds(
        "--{}={}".format, st.sampled_from(sorted(FLAGS)), st.sampled_from(["", "1", "-1", "true", "x", "0.5", "/m"])
    ),
    st.text(max_size=8),
)


@given(st.lists(_ARGUMENTS, max_size=6))
def test_no_command_line_breaks_it(arguments: list[str]) -> None:
    is_tensorflow_serving(arguments)
    with contextlib.suppress(SkyliftError):
        options = parse(arguments, OWN)
        assert options.show or options.models
