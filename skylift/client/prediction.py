"""Asking an endpoint, and saying what its numbers mean."""

from __future__ import annotations

import http.client
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from skylift.artifacts import layout, models, objects
from skylift.artifacts.records import ModelManifest, ModelRef, Samples, TaskInfo
from skylift.client import inputs, releases
from skylift.errors import CredentialsError, InputError, NotFoundError, UnreachableError

if TYPE_CHECKING:
    from skylift.client.stack import Stack
    from skylift.stack.outputs import EndpointOutput

API_KEY = "SKYLIFT_API_KEY"
"""Environment variable with a key for endpoints that ask who calls; on the command line others could read it."""
TIMEOUT = 60.0
"""How long a server may take to answer [s]."""


@dataclass(frozen=True)
class Prediction:
    """One row's answer.

    Args:
        label: the most probable label (classification, binary), else None.
        probability: of the label, 0 to 1.
        scores: probability of every label.
        value: the number or numbers of a regression, else None.
        unit: of `value`.
        raw: the server's own answer for the row.
        model, version, deployment: what answered.
    """

    label: str | None
    probability: float | None
    value: float | list[Any] | None
    unit: str
    model: str
    version: int
    deployment: int | None
    scores: dict[str, float] = field(default_factory=dict)
    raw: Any = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def predict(stack: Stack, source: Any, *, endpoint: str | None = None, invert: bool = False) -> list[Prediction]:
    """Ask an endpoint; see ask()."""
    return ask(stack, source, endpoint=endpoint, invert=invert)[0]


def check_reach(name: str, address: EndpointOutput) -> None:
    """Say early why an endpoint cannot be asked from here.

    Raises:
        NotFoundError: nothing answers there, for the stack has no serving image.
        UnreachableError: it is in a private network, or behind a cloud's own API.
    """
    if not address.url:
        raise NotFoundError(
            f"endpoint {name!r} has no serving image yet, so nothing answers there",
            hint="set skylift:images.serving in the stack's file to an image by digest, then run `skylift up`",
        )
    if address.access == "network":
        raise UnreachableError(
            f"endpoint {name!r} at {address.url} is reached only from inside the stack's network",
            hint="call it from a machine in that network, or through a VPN or peering of yours; docs/targets.md shows the ways",
        )
    if address.access != "direct":
        raise UnreachableError(
            f"endpoint {name!r} at {address.url} is reached by {address.access}, which this release does not open by itself",
            hint="call it from inside the stack's network or with the cloud's own client; docs/targets.md shows the ways",
        )


def ask(
    stack: Stack, source: Any, *, endpoint: str | None = None, invert: bool = False
) -> tuple[list[Prediction], inputs.Given]:
    """Ask an endpoint: the answers, and the rows as they were sent.

    Raises:
        InputError: the input does not fit the model, or the server refused it.
        NotFoundError: the endpoint serves nothing yet.
        CredentialsError: the endpoint asks for an API key, or for another one than $SKYLIFT_API_KEY.
        UnreachableError: the server does not answer.
    """
    name, address = stack.endpoint(endpoint)
    check_reach(name, address)
    deployment = releases.serving_now(stack, name)
    if deployment is None:
        raise NotFoundError(f"endpoint {name!r} serves nothing yet", hint="`skylift deploy MODEL` lets it answer")
    manifest = models.read_manifest(stack.keep, deployment.model)
    given = inputs.read(source, manifest.signature.inputs, manifest.task, invert=invert)
    rows = given.rows if isinstance(given.rows, list) else given.rows.tolist()
    answer, headers = _post(address.url, deployment.model.name, {"instances": rows})
    version = int(headers.get("x-skylift-model-version") or deployment.model.version)
    if version != deployment.model.version:
        ref = models.resolve(stack.keep, f"{deployment.model.name}:{version}")
        deployment_model, manifest = ref, models.read_manifest(stack.keep, ref)
    else:
        deployment_model = deployment.model
    number = headers.get("x-skylift-deployment")
    answered = answer.get("predictions")
    if not isinstance(answered, list):
        raise UnreachableError(f"{address.url} answers, but without predictions", hint="check the address")
    return [decode(row, manifest, deployment_model, int(number) if number else None) for row in answered], given


def samples(stack: Stack, *, endpoint: str | None = None) -> Samples:
    """The rows that go with the version that an endpoint serves, and what they truly are.

    Raises:
        NotFoundError: the endpoint serves nothing yet, or the version came without.
    """
    name, _ = stack.endpoint(endpoint)
    deployment = releases.serving_now(stack, name)
    if deployment is None:
        raise NotFoundError(f"endpoint {name!r} serves nothing yet", hint="`skylift deploy MODEL` lets it answer")
    model = deployment.model
    found = objects.find(stack.keep, f"{layout.model(model.name, model.digest)}/{layout.SAMPLES}", Samples)
    if found is None:
        raise NotFoundError(
            f"{model.name}:{model.version} came without samples", hint="give a file in place of --sample"
        )
    return found.record


def decode(row: Any, manifest: ModelManifest, model: ModelRef, deployment: int | None) -> Prediction:
    """What one row of a server's answer means, by the model's own task."""
    task = manifest.task
    values = _flat(next(iter(row.values())) if isinstance(row, dict) and len(row) == 1 else row)
    if values is not None and not all(map(math.isfinite, values)):
        values = None  # of NaN none is the most probable; the raw answer shows it
    label = probability = value = None
    scores: dict[str, float] = {}
    if values is not None and task.kind in ("classification", "binary"):
        scores = _scores(values, task)
    if scores:
        label = max(scores, key=lambda name: scores[name])
        probability = scores[label]
    elif values is not None and task.kind == "regression":
        value = values[0] if len(values) == 1 else list(values)
    return Prediction(label, probability, value, task.unit, model.name, model.version, deployment, scores, row)


def _scores(values: Sequence[float], task: TaskInfo) -> dict[str, float]:
    if task.kind == "binary" and len(values) == 1:
        no, yes = task.labels if len(task.labels) == 2 else ("no", "yes")
        return {no: 1.0 - values[0], yes: values[0]}
    labels = task.labels if len(task.labels) == len(values) else [str(number) for number in range(len(values))]
    return dict(zip(labels, values, strict=True))


def _flat(row: Any) -> list[float] | None:
    """A row of numbers without its nesting; None where it is something else."""
    if isinstance(row, int | float):
        return [float(row)]
    if not isinstance(row, list):
        return None
    flat: list[float] = []
    for part in row:
        inner = _flat(part)
        if inner is None:
            return None
        flat += inner
    return flat


def _post(url: str, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    path = f"{parts.path.rstrip('/')}/v1/models/{quote(model)}:predict"
    key = _key()
    try:
        connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json", **key})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"{url} does not answer: {str(error) or type(error).__name__}",
            hint="`skylift status` shows what is wrong, `skylift up` mends it",
        ) from None
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    answer = _parsed(text, url)
    if response.status == 200:
        return answer, headers
    raise _refused(response.status, str(answer.get("error", "")), url)


def _key() -> dict[str, str]:
    """The header that says who asks, where an API key is at hand."""
    key = os.environ.get(API_KEY, "").strip()
    if not key.isascii() or not key.isprintable():
        raise InputError(f"{API_KEY} holds what no key has", hint="`skylift keys add NAME` prints one, once")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _parsed(text: bytes, url: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnreachableError(f"{url} answers, but not as a model server: {text[:80]!r}", hint="check the address")
    return answer


def _refused(status: int, said: str, url: str) -> InputError | UnreachableError | NotFoundError | CredentialsError:
    if status == 401:
        hint = f"set {API_KEY} to a key that `skylift keys add NAME` printed for this endpoint; revoked and ended ones do not count"
        return CredentialsError(f"{url} does not know who asks: {said}", hint=hint)
    if status == 403:
        hint = f"the key in {API_KEY} is for other models or for less: see `skylift keys list`"
        return CredentialsError(f"{url} does not allow it: {said}", hint=hint)
    if status == 404:
        return NotFoundError(f"the server says: {said}", hint="`skylift status` shows what it serves")
    if status < 500 and status != 429:
        return InputError(f"the server refused the input: {said}", hint="`skylift models show` lists what it takes")
    return UnreachableError(f"{url} answers {status}: {said}", hint="try again in a moment; see `skylift status`")
