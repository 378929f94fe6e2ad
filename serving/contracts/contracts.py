"""Which route of which service asks for what. All are answered on every target.

SageMaker: `/ping`, `/invocations`, `/execution-parameters`, `/models`, `/models/NAME`, `/models/NAME/invoke`.
Vertex AI: AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE; `/predict`, and `/v1/endpoints/E/deployedModels/D` with `:predict` behind it.
Azure ML: `/score`, and for health `/livez` and `/readyz`, or `/`, the page for people, which is there as long as the process lives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from serving.calls import Way
from serving.contracts import bodies, health
from serving.contracts.invoking import Asked, Invoker
from serving.contracts.sagemaker import SageMaker, asked_by
from serving.http.desk import Desk
from serving.http.messages import Exchange
from serving.http.tfs import Rest
from serving.http.v2 import OpenInference
from serving.interface import StatusError
from serving.models import Models
from serving.options import WorkerOptions
from skylift.artifacts.access import Verb

VERTEX = "/v1/endpoints/"
"""Begins the routes that Vertex AI uses where nobody names others."""
_VERTEX = re.compile(r"/v1/endpoints/[^/]+/deployedModels/[^/:]+(?P<verb>:predict|:rawPredict|:streamRawPredict)?")
_PREDICTIONS: Mapping[str, Way] = {"/predict": "vertex", "/score": "azureml"}
_LIVE = "/livez"
_REQUEST_IDS = (b"x-ms-request-id", b"x-ms-client-request-id", b"x-amzn-sagemaker-inference-id")
"""Headers in which services hand on a request's id: https://learn.microsoft.com/azure/machine-learning/how-to-monitor-online-endpoints"""

_NOTHING = Asked()


class Contracts:
    """Answers for the routes of all services.

    Attributes:
        chosen: paths that Vertex AI was told to use; they come before the protocols' own.
    """

    def __init__(self, models: Models, desk: Desk, rest: Rest, v2: OpenInference, options: WorkerOptions) -> None:
        own = options.contracts
        self._models = models
        self._health_route, self._predict_route = own.health_route, own.predict_route
        self._invoker = Invoker(models, desk, rest, v2, own.default_model)
        self._sagemaker = SageMaker(models, desk, self._invoker, options)
        self.chosen = frozenset(route for route in (own.health_route, own.predict_route) if route)

    def is_open(self, method: bytes, path: str) -> bool:
        """Whether whoever looks after a replica asks there, without a key."""
        return method in (b"GET", b"HEAD") and (path in (_LIVE, self._health_route) or self._is_health(path))

    def _is_health(self, path: str) -> bool:
        match = _VERTEX.fullmatch(path) if path.startswith(VERTEX) else None
        return match is not None and match["verb"] is None

    def handle(self, exchange: Exchange, path: str) -> bool:
        """Answer if the route is one of a service's."""
        method = exchange.request.method
        if path == self._predict_route:
            self._predict(exchange, "vertex")
        elif path in _PREDICTIONS:
            self._predict(exchange, _PREDICTIONS[path])
        elif path == "/ping" or path == self._health_route or self._is_health(path):
            exchange.respond(health.readiness(self._models, method, path))
        elif path == "/invocations":
            _name_request(exchange)
            self._sagemaker.invocations(exchange)
        elif path == "/execution-parameters":
            self._sagemaker.execution_parameters(exchange)
        elif path == "/models" or path.startswith("/models/"):
            return self._sagemaker.models(exchange, path)
        elif path == _LIVE:
            exchange.respond(health.liveness(method, path))
        elif path.startswith(VERTEX) and _VERTEX.fullmatch(path) is not None:
            self._predict(exchange, "vertex")
        else:
            return False
        return True

    def _predict(self, exchange: Exchange, way: Way) -> None:
        _name_request(exchange)
        self._invoker.invoke(exchange, way, _NOTHING, bodies.without_parameters)

    def asked(self, method: bytes, path: str, headers: Mapping[bytes, bytes]) -> tuple[str, Verb] | None:
        """The model and the right that a service's route asks for; None where it is none of them."""
        if path in _PREDICTIONS or path == self._predict_route or path == "/invocations" or path.startswith(VERTEX):
            return self._model(headers), "predict"
        if path != "/models" and not path.startswith("/models/"):
            return None
        name = unquote(path[len("/models/") :])
        if name.endswith("/invoke"):
            return name.removesuffix("/invoke"), "predict"
        return name, "metadata" if method in (b"GET", b"HEAD") else "admin"

    def _model(self, headers: Mapping[bytes, bytes]) -> str:
        try:
            return self._invoker.name(asked_by(headers, self._models.served_names()))
        except StatusError:
            return ""


def _name_request(exchange: Exchange) -> None:
    headers = exchange.request.headers
    if b"x-request-id" in headers:
        return
    for name in _REQUEST_IDS:
        if name in headers:
            headers[b"x-request-id"] = headers[name]
            return
