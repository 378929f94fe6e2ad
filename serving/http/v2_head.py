"""The JSON of an Open Inference Protocol request: what it names, with the data of its tensors left as they stand in it.

A quick typed reading takes every usual request. What it refuses is read again, exactly: NaN and Infinity are numbers, and what is
wrong is told by its place.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from serving.http.json_in import BadRequestError


class QuickInput(msgspec.Struct):
    """An input whose `data`, if given, is JSON text not looked into yet."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ExactInput(msgspec.Struct):
    """An input whose `data`, if given, is Python values."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None
    data: object


class Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


Input = QuickInput | ExactInput


class _Quick(msgspec.Struct):
    inputs: list[QuickInput]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Output] | None = None


class _Exact(msgspec.Struct):
    inputs: list[ExactInput]
    id: str | None
    parameters: dict[str, Any] | None
    outputs: list[Output] | None


Head = _Quick | _Exact

_QUICK = msgspec.json.Decoder(_Quick)


def parse(text: bytes) -> Head:
    """The request's JSON. Members it does not know are passed over; null stands for "not given" where a member is optional.

    Raises:
        BadRequestError: it is no JSON, or a member has the wrong type.
    """
    try:
        return _QUICK.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _exactly(text)


def loads(text: bytes) -> Any:
    """One JSON value as Python reads it, NaN and Infinity included.

    Raises:
        BadRequestError: it is not one JSON value in UTF-8.
    """
    try:
        return json.loads(text.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise BadRequestError(f"the request's JSON is not UTF-8 at byte {problem.start}") from None
    except json.JSONDecodeError as problem:
        raise BadRequestError(
            f"the request's JSON cannot be read: {problem.msg} at character {problem.pos} of {len(problem.doc)}"
        ) from None
    except ValueError:
        raise BadRequestError("the request's JSON has a number with too many digits") from None
    except RecursionError:
        raise BadRequestError("the request's JSON is nested too deeply") from None


def is_null(data: object) -> bool:
    """Whether an input's data is null, in either form."""
    return data is None or (isinstance(data, msgspec.Raw) and bytes(data) == b"null")


def kind(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names[type(value)]


def _exactly(text: bytes) -> _Exact:
    if not text.strip():
        raise BadRequestError('the body is empty, expected a JSON object with "inputs"')
    document = loads(text)
    if not isinstance(document, dict):
        raise BadRequestError(f'the request is {kind(document)}, expected an object with "inputs"')
    identifier = document.get("id")
    if identifier is not None and not isinstance(identifier, str):
        _refuse("id", identifier, "a text")
    parameters = _parameters(document, "parameters")
    if "inputs" not in document:
        raise BadRequestError('the request has no "inputs"')
    inputs = [_input(item, f"inputs[{index}]") for index, item in enumerate(_list(document["inputs"], "inputs"))]
    outputs = document.get("outputs")
    return _Exact(
        inputs,
        identifier,
        parameters,
        None
        if outputs is None
        else [_output(item, f"outputs[{index}]") for index, item in enumerate(_list(outputs, "outputs"))],
    )


def _input(item: Any, where: str) -> ExactInput:
    name = _name(item, where)
    where = f'input "{name}": '
    if "shape" not in item:
        raise BadRequestError(f"{where}shape is missing")
    shape = _list(item["shape"], where + "shape")
    for index, size in enumerate(shape):
        if type(size) is not int:
            _refuse(f"{where}shape[{index}]", size, "an integer")
    if "datatype" not in item:
        raise BadRequestError(f"{where}datatype is missing")
    if not isinstance(item["datatype"], str):
        _refuse(where + "datatype", item["datatype"], "a text")
    parameters = _parameters(item, where + "parameters")
    return ExactInput(name, shape, item["datatype"], parameters, item.get("data", msgspec.UNSET))


def _output(item: Any, where: str) -> Output:
    name = _name(item, where)
    return Output(name, _parameters(item, f'output "{name}": parameters'))


def _name(item: Any, where: str) -> str:
    if not isinstance(item, dict):
        _refuse(where, item, "an object")
    if "name" not in item:
        raise BadRequestError(f"{where}: name is missing")
    if not isinstance(item["name"], str):
        _refuse(f"{where}.name", item["name"], "a text")
    name: str = item["name"]
    return name


def _parameters(owner: dict[str, Any], where: str) -> dict[str, Any] | None:
    value = owner.get("parameters")
    if value is not None and not isinstance(value, dict):
        _refuse(where, value, "an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse(where, value, "a list")
    return value


def _refuse(where: str, value: Any, expected: str) -> NoReturn:
    raise BadRequestError(f"{where} is {kind(value)}, expected {expected}")
