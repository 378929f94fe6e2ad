"""What `serving_default` takes and gives, and the function behind it."""

from __future__ import annotations

from typing import Any

from skylift.artifacts.records import Signature, TaskInfo, TensorSpec
from training.contract import Task

OUTPUTS = {"classification": "probabilities", "binary": "probability", "regression": "value"}
"""The name of the one output, by kind of task."""


def output_name(task: Task) -> str:
    return OUTPUTS[task.kind]


def signature_of(task: Task, output_shape: list[int | None]) -> Signature:
    """The signature as the manifest holds it."""
    inputs = [TensorSpec(name=each.name, dtype=each.dtype, shape=[None, *each.shape]) for each in task.inputs]
    return Signature(inputs=inputs, outputs=[TensorSpec(name=output_name(task), dtype="float32", shape=output_shape)])


def task_info(task: Task) -> TaskInfo:
    """What `predict` needs to decode outputs."""
    return TaskInfo(
        kind=task.kind,
        labels=list(task.labels),
        unit=task.unit,
        input_kind=task.input_kind,
        input_names=list(task.input_names),
        dark_background=task.dark_background,
    )


def serving_function(tf: Any, model: Any, task: Task) -> Any:
    """The model as a compiled function of its named raw inputs, with any number of rows."""
    names = [each.name for each in task.inputs]
    specs = [tf.TensorSpec([None, *each.shape], each.dtype, name=each.name) for each in task.inputs]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def serve(*tensors: Any) -> dict[str, Any]:
        named = dict(zip(names, tensors, strict=True))
        outputs = model(named if len(names) > 1 else tensors[0], training=False)
        return {output_name(task): tf.cast(outputs, tf.float32)}

    return serve
