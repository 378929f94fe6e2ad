"""The methods: what each shows and does not show, in plain words, and which models it fits."""

from __future__ import annotations

from dataclasses import dataclass

from skylift.errors import InputError
from training.explain.attention import attention_layers
from training.explain.features import MOST_COLUMNS
from training.explain.grad_cam import is_convolution
from training.explain.inside import leaves
from training.published import Published


@dataclass(frozen=True)
class Method:
    """`title`, `shows` and `shows_not` are for people who know the subject and not the model."""

    name: str
    title: str
    shows: str
    shows_not: str
    is_global: bool = False


METHODS: dict[str, Method] = {
    each.name: each
    for each in (
        Method(
            "integrated-gradients",
            "Integrated gradients",
            "What each part of the input adds to the number, or takes from it, on the way from the baseline to this input. "
            "All shares together are the difference between the two.",
            "That a part matters to the model does not make it a cause in the world, and another baseline gives other shares.",
        ),
        Method(
            "grad-cam",
            "Grad-CAM",
            "Where in the image the model's last convolution finds what speaks for the class: the brighter, the more.",
            "The map is as coarse as that layer, shows nothing that speaks against the class, and says where the model looks, "
            "not whether it is right to.",
        ),
        Method(
            "attention",
            "Attention",
            "From which parts of the input the model's last layers take their numbers: the rollout over all layers, and each head.",
            "Attention is where numbers come from, not what is made of them: a part with much of it can still speak for "
            "nothing. It has no sign.",
        ),
        Method(
            "permutation",
            "Permutation importance",
            "How much the loss on the test split grows when a column is shuffled among the rows: what the model as a whole relies on.",
            "Columns that say the same stand in for each other, so each may look less than it is. "
            "That the model relies on a column does not make it a cause.",
            is_global=True,
        ),
        Method(
            "shap",
            "SHAP values",
            "What each column adds to the number or takes from it, against what the model says of usual rows, "
            "fairly shared out over all orders in which the columns could become known.",
            "Columns are taken for independent of each other, which real ones seldom are. It explains the model, not the world.",
        ),
    )
}


def reason_against(opened: Published, method: str) -> str | None:
    """Why a method does not fit a model; None where it fits."""
    task, keras = opened.task, opened.keras
    if method == "grad-cam":
        shape = task.inputs[0].shape
        if len(task.inputs) > 1 or len(shape) != 3:
            return "it needs one input that is an image"
        if not any(is_convolution(keras, layer) for layer in leaves(opened.model)):
            return "the model has no convolution"
    elif method == "attention" and not attention_layers(keras, opened.model):
        return "the model has no layer MultiHeadAttention"
    elif method in ("permutation", "shap"):
        if opened.data is None:
            return "the model was made elsewhere, and this needs its data"
        if task.input_kind in ("image", "text"):
            return f"it explains tables, and the model takes {task.input_kind}s"
        numbers = sum(_count(each.shape) for each in task.inputs)
        if numbers > MOST_COLUMNS:
            return f"it explains up to {MOST_COLUMNS} columns, and the model takes {numbers}"
    elif method == "integrated-gradients" and any(each.dtype == "string" for each in task.inputs):
        return "strings have no gradient"
    return None


def _count(shape: tuple[int | None, ...]) -> int:
    count = 1
    for size in shape:
        count *= size or 1
    return count


def fitting(opened: Published, has_row: bool) -> list[str]:
    """The methods that fit, those of one row where there is one."""
    return [
        name
        for name, method in METHODS.items()
        if (has_row or method.is_global) and reason_against(opened, name) is None
    ]


def resolve(opened: Published, wanted: str, has_row: bool) -> Method:
    """The method, or of `auto` the first that fits.

    Raises:
        InputError: it does not fit the model, or needs an input.
    """
    fits = fitting(opened, has_row)
    others = f"those that do: {', '.join(fits)}" if fits else "no method does without an input: give one"
    if wanted == "auto":
        if not fits:
            why = reason_against(opened, "permutation")
            raise InputError(f"{opened.name} cannot be explained as a whole: {why}", hint="give an input to explain")
        return METHODS["permutation" if not has_row else fits[0]]
    reason = reason_against(opened, wanted)
    if reason is not None:
        raise InputError(f"{wanted} does not fit {opened.name}: {reason}", hint=others)
    if not has_row and not METHODS[wanted].is_global:
        raise InputError(f"{wanted} explains one input", hint="give a file, JSON or `--sample 1`")
    return METHODS[wanted]
