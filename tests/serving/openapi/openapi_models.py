"""Servers with models of every kind, as facts."""

from __future__ import annotations

from serving.interface import CLASSIFY, REGRESS
from serving.openapi.facts import Contract, ServedVersion, ServerFacts
from serving.signature import ModelSignature, Tensor
from skylift.artifacts.records import TaskInfo

Shape = tuple[int | None, ...] | None


def signature(inputs: dict[str, tuple[str, Shape]], outputs: dict[str, tuple[str, Shape]]) -> ModelSignature:
    return ModelSignature(
        tuple(Tensor(name, *one) for name, one in inputs.items()),
        tuple(Tensor(name, *one) for name, one in outputs.items()),
    )


DIGIT_SIGNATURE = signature({"image": ("float32", (None, 28, 28, 1))}, {"probabilities": ("float32", (None, 10))})
DIGITS = ServedVersion(
    "digits",
    3,
    {
        "serving_default": DIGIT_SIGNATURE,
        "explain": signature(
            {"image": ("float32", (None, 28, 28, 1))},
            {"attributions": ("float32", (None, 28, 28, 1)), "explained": ("int32", (None,))},
        ),
    },
    TaskInfo(kind="classification", labels=[str(n) for n in range(10)], input_kind="image", dark_background=True),
    labels=("stable", "a b/{c}"),
)
OLD_DIGITS = ServedVersion("digits", 2, {"serving_default": DIGIT_SIGNATURE}, DIGITS.task, is_default=False)
HOUSES = ServedVersion(
    "houses",
    1,
    {"serving_default": signature({"x": ("float32", (None, 3))}, {"price": ("float32", (None, 1))})},
    TaskInfo(kind="regression", unit="EUR", input_kind="tabular", input_names=["area", "rooms", "age"]),
    samples=([120.5, 4.0, 30.0], [80.0, 2.0, 5.0]),
)
SEVERAL = ServedVersion(
    "several inputs {odd}",
    7,
    {
        "serving_default": signature(
            {"a": ("int64", (None,)), "b": ("string", (None, 2)), "ok": ("bool", (None,))},
            {"sum": ("int64", (None,)), "text": ("string", (None,))},
        ),
        "other": signature({"t": ("float64", (None, None))}, {"m": ("float64", ())}),
    },
)
FIXED = ServedVersion("fixed", 1, {"only": signature({"m": ("uint8", (2, 3))}, {"s": ("float32", ())})})
SCALAR = ServedVersion("scalar", 1, {"serving_default": signature({"s": ("float32", ())}, {"s": ("float32", ())})})
OPEN = ServedVersion("open", 1, {"serving_default": signature({"x": ("float32", None)}, {"y": ("float32", None)})})
HALF = ServedVersion(
    "half", 1, {"serving_default": signature({"x": ("float16", (None, 2))}, {"y": ("float16", (None, 2))})}
)
LARGE = ServedVersion(
    "large",
    1,
    {"serving_default": signature({"x": ("float32", (None, 224, 224, 3))}, {"y": ("float32", (None, 1000))})},
)
EXAMPLES = ServedVersion(
    "examples",
    1,
    {
        "serving_default": signature(
            {"inputs": ("string", (None,))}, {"classes": ("string", (None, 2)), "scores": ("float32", (None, 2))}
        ),
        "value": signature({"inputs": ("string", (None,))}, {"outputs": ("float32", (None, 1))}),
    },
    methods={"serving_default": CLASSIFY, "value": REGRESS},
)
NOTHING = ServedVersion("nothing", 1, {})
VERSIONS = (DIGITS, OLD_DIGITS, HOUSES, SEVERAL, FIXED, SCALAR, OPEN, HALF, LARGE, EXAMPLES, NOTHING)
CONTRACTS = (
    Contract("/invocations", "SageMaker", "predict", "digits"),
    Contract("/ping", "SageMaker", "health"),
    Contract("/score", "Azure ML", "predict", "several inputs {odd}"),
)
SERVER = ServerFacts(VERSIONS, "0.1.0", contracts=CONTRACTS)
EMPTY = ServerFacts((), "0.1.0")
