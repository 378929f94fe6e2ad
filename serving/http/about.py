"""What the server says of itself: its OpenAPI document and the page to try a request."""

from __future__ import annotations

from serving.http.messages import Response
from serving.media import coding
from serving.models import Models, Version
from serving.openapi import page
from serving.openapi.document import Kept
from serving.openapi.facts import Contract, ServedVersion, ServerFacts
from skylift.artifacts.records import TaskInfo

OPENAPI = "/openapi.json"


class About:
    """
    Args:
        contracts: routes of a cloud's service that are open.
    """

    def __init__(self, models: Models, *, is_guarded: bool, contracts: tuple[Contract, ...] = ()) -> None:
        self._models = models
        self._is_guarded = is_guarded
        self._contracts = contracts
        self._kept = Kept()

    def document(self, accept_encoding: bytes = b"", if_none_match: bytes = b"") -> Response:
        """`/openapi.json`, made anew when what is served has changed. Some 1 ms a version: great libraries belong into a thread."""
        built = self._kept.get(self._models.serial, self._facts)
        extra = b"ETag: %b\r\nCache-Control: no-cache\r\n%b" % (built.etag, coding.VARY)
        if if_none_match == built.etag:
            return Response(304, extra=extra)
        if coding.chosen(accept_encoding) == "gzip":
            return Response(200, built.gzip, extra + b"Content-Encoding: gzip\r\n")
        return Response(200, built.body, extra)

    def page(self) -> Response:
        """`/`, for people."""
        return Response(200, page.page(), page.headers(), page.CONTENT_TYPE)

    def _facts(self) -> ServerFacts:
        models = self._models
        return ServerFacts(
            versions=[self._version(one) for one in models.all_versions()],
            server_version=models.server_version,
            is_guarded=self._is_guarded,
            can_manage=not models.endpoint,
            contracts=self._contracts,
        )

    def _version(self, version: Version) -> ServedVersion:
        loaded = version.loaded
        return ServedVersion(
            name=version.name,
            version=version.version,
            signatures=version.signatures,
            task=loaded.manifest.task if loaded.manifest is not None else TaskInfo(),
            labels=[label for label, number in self._models.labels(version.name).items() if number == version.version],
            is_default=self._models.default(version.name) is version,
            methods=loaded.backend.methods,
            samples=loaded.samples,
        )
