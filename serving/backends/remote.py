"""A model that another server computes, over Open Inference Protocol v2 with binary tensors."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from serving.backends import remote_wire
from serving.backends.addresses import Address, Addresses
from serving.backends.base import Array, RunError
from serving.backends.part_key import VARIABLE
from serving.http.v2_binary import LENGTH_HEADER
from serving.signature import DEFAULT_SIGNATURE, ModelSignature
from skylift.errors import DeployError, UnreachableError

_TRY_ELSEWHERE = (404, 429, 502, 503)
"""It has not computed anything; another replica may be further with a release, or have less to do."""
_REFUSED = (400, 413, 422)
AGAIN_SECONDS = 1.0
"""When a client may try again, at the earliest."""


class RemoteBackend:
    """Asks one of several replicas, on connections that stay open.

    A replica that cannot be reached, or is too busy, is passed over for the next one. A request that was sent whole and got no answer is
    not sent again, for it may be what ended the worker that had it; but it is where nobody listens at that address any more: then the
    server as a whole has gone, which no request brings about.

    Args:
        urls: `http://HOST:PORT` of each replica, `https` for TLS.
        model: its name there; `version` None means whatever answers there.
        wanted: what it takes and gives; None: as the server's metadata says, which is asked now.
        headers: sent with every request, such as `Authorization`; may be what gives them, asked each time.
        timeout_seconds: of a request whose caller has no earlier deadline.
        connections: requests under way at once.

    Raises:
        InputError: an address is no URL of a server.
        UnreachableError: no replica tells its metadata.
    """

    name = "remote"
    platform = "skylift_remote"
    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        version: int | None = None,
        wanted: ModelSignature | None = None,
        *,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        timeout_seconds: float = 30.0,
        connections: int = 4,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._addresses = Addresses(urls, context)
        self._urls = ", ".join(address.url for address in self._addresses.all)
        self._path = f"/v2/models/{model}" + (f"/versions/{version}" if version is not None else "")
        self._model = model
        fixed = {} if headers is None or callable(headers) else dict(headers)
        self._headers = headers if callable(headers) else lambda: fixed
        self._timeout = timeout_seconds
        self.concurrency = connections
        try:
            self.signatures: Mapping[str, ModelSignature] = {DEFAULT_SIGNATURE: wanted or self.ask_signature()}
        except BaseException:
            self.close()
            raise

    @property
    def working(self) -> list[str]:
        """URLs of the replicas that are not set aside after a failure."""
        return self._addresses.working

    def is_ready(self) -> bool:
        """Whether a replica says that it serves the model."""
        for address in self._addresses.in_turn():
            try:
                if self._ask(address, "GET", "/ready", {}, None, time.monotonic() + 2.0)[0] == 200:
                    return True
            except RunError:
                continue
        return False

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        until = min(deadline or float("inf"), time.monotonic() + self._timeout)
        names = outputs or [tensor.name for tensor in self.signatures[signature].outputs]
        headers, body = remote_wire.request(inputs, names, max(until - time.monotonic(), 0.0))
        problem: RunError | None = None
        has_lost = False
        for address in self._addresses.in_turn():
            try:
                status, answered, raw = self._ask(address, "POST", "/infer", headers, body, until)
            except _LostError as error:
                if has_lost or not address.is_gone():
                    raise
                has_lost, problem = True, error
                continue
            except _NotSentError as error:
                problem = error
                continue
            if status == 200:
                return self._read(address, raw, answered, names)
            problem = self._refusal(address, status, answered, raw)
            if status not in _TRY_ELSEWHERE:
                break
        raise problem or self._not_sent(f"{self._urls}: none has answered lately")

    def close(self) -> None:
        self._addresses.close()

    def _ask(
        self,
        address: Address,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | list[memoryview] | None,
        until: float,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request at one address.

        Raises:
            RunError: no answer; `_NotSentError` where another address may be asked, `_LostError` where perhaps.
        """
        connection = address.take()
        is_sent = is_answering = False
        try:
            if connection.sock is None:
                connection.timeout = min(connection.timeout or 0.0, self._left(address, until))
                connection.connect()
            connection.sock.settimeout(self._left(address, until))
            connection.request(method, address.path + self._path + path, body, {**self._headers(), **headers})
            is_sent = True
            response = connection.getresponse()
            is_answering = True
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._lost(address, error, until, is_sent=is_sent, is_answering=is_answering) from None
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            address.give_back(connection)
        address.worked()
        return response.status, response.headers, raw

    def _left(self, address: Address, until: float) -> float:
        left = until - time.monotonic()
        if left <= 0:
            raise self._late(address)
        return left

    def _lost(self, address: Address, error: Exception, until: float, *, is_sent: bool, is_answering: bool) -> RunError:
        if isinstance(error, TimeoutError) and time.monotonic() >= until:
            return self._late(address)
        address.failed(is_silent=isinstance(error, TimeoutError))
        what = f"{address.url}: {type(error).__name__}: {error}"
        if not is_sent:
            return self._not_sent(what)
        kind = RunError if is_answering else _LostError
        return kind(
            f"{self._model} was asked and not answered by {what}",
            is_callers_fault=False,
            cause="unavailable",
            retry_after=AGAIN_SECONDS,
        )

    def _not_sent(self, what: str) -> RunError:
        return _NotSentError(
            f"{self._model} cannot be reached at {what}",
            is_callers_fault=False,
            cause="unavailable",
            retry_after=max(AGAIN_SECONDS, self._addresses.aside_seconds),
        )

    def _late(self, address: Address) -> RunError:
        return RunError(f"{self._model} at {address.url} did not answer in time", is_callers_fault=False, cause="late")

    def _read(
        self, address: Address, raw: bytes, headers: http.client.HTTPMessage, names: Sequence[str]
    ) -> dict[str, Array]:
        try:
            return remote_wire.answer(raw, headers.get(LENGTH_HEADER), names)
        except remote_wire.WireError as error:
            raise RunError(f"{self._model} at {address.url} answers with {error}", is_callers_fault=False) from None

    def _refusal(self, address: Address, status: int, headers: http.client.HTTPMessage, raw: bytes) -> RunError:
        said = _said(raw)
        if status in _REFUSED:
            return RunError(said, is_callers_fault=True)
        message = f"{self._model} at {address.url} answers {status}: {said}"
        if status in _TRY_ELSEWHERE:
            wait = headers.get("Retry-After", "")
            again = float(wait) if wait.isdecimal() else AGAIN_SECONDS
            return RunError(message, is_callers_fault=False, cause="unavailable", retry_after=again)
        return RunError(message, is_callers_fault=False, cause="late" if status == 504 else "broken")

    def ask_signature(self) -> ModelSignature:
        """What the model takes and gives, as a server says.

        Raises:
            UnreachableError: no replica tells.
            DeployError: it is no server of this protocol.
        """
        problem, hint = "", "start its endpoint, or name another address"
        for address in self._addresses.in_turn():
            try:
                status, _, raw = self._ask(address, "GET", "", {}, None, time.monotonic() + self._timeout)
            except RunError as error:
                problem = error.message
                continue
            if status != 200:
                problem = f"{address.url} answers {status}: {_said(raw)}"
                if status in (401, 403):
                    hint = f"give a key that it knows, with --part-key-file or {VARIABLE}"
                continue
            try:
                return remote_wire.described(raw)
            except remote_wire.WireError as error:
                raise DeployError(
                    f"{self._model} at {address.url}: {error}", hint="the address must be a server of protocol v2"
                ) from None
        raise UnreachableError(f"nobody tells what {self._model} takes: {problem}", hint=hint)


class _NotSentError(RunError):
    """The request did not leave whole: it may be sent elsewhere."""


class _LostError(RunError):
    """The request left whole, and the connection ended without a word."""


def _said(raw: bytes) -> str:
    """The message of an error's body."""
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw[:200].decode("utf-8", "replace") or "nothing more"
    return str(document.get("error", document))[:1000] if isinstance(document, dict) else str(document)[:200]
