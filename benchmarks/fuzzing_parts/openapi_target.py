"""schemathesis: what /openapi.json promises, held against a real server with requests that fit it and requests that do not."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzzing_parts.answers import DOCUMENTED
from benchmarks.fuzzing_parts.real_server import RealServer

_UNLOADS = re.compile(r"/v2/repository/models/")
_NO_NUMBERS = re.compile(rb"\b(?:NaN|Infinity)\b")
"""Which JSON Schema knows nothing of; docs/serving-bodies.md says so."""
_KINDS = {"application/json", None}


@dataclass
class Conformed:
    requests: int = 0
    operations: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class OpenApi:
    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self.done = Conformed()

    def run(self, examples: int, *, until: float = float("inf")) -> Conformed:
        """So many requests for each operation, half of them against their schema; the server is stopped then."""
        import requests
        import schemathesis

        server = RealServer(self._folder)
        try:
            _, raw = server.ask("GET", "/openapi.json")
            schema = schemathesis.openapi.from_dict(json.loads(raw))
            with requests.Session() as session:
                for found in schema.get_all_operations():
                    result: Any = found
                    operation: Any = result.ok()
                    if time.monotonic() < until and not _UNLOADS.match(operation.path):
                        self.done.operations += 1
                        self._operation(operation, f"http://127.0.0.1:{server.port}", session, examples // 2)
            server.check()
            server.check_whole()
        except Exception as problem:
            self.done.failures.append(f"{type(problem).__name__}: {problem}")
        finally:
            if (code := server.stop()) != 0:
                self.done.failures.append(f"the server ended with {code}")
        return self.done

    def _operation(self, operation: Any, url: str, session: Any, examples: int) -> None:
        import hypothesis
        from schemathesis.generation import GenerationMode

        quiet = hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            print_blob=False,
        )
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @hypothesis.seed(self._seed)
            @quiet
            @hypothesis.given(operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                self._ask(case, url, session)

            try:
                ask()
            except hypothesis.errors.Unsatisfiable:
                pass  # an operation without anything to be wrong
            except (Exception, BaseExceptionGroup) as problem:
                told = str(problem)
                self.done.failures.append(f"openapi --seed {self._seed}: {operation.label} {mode.value}: {told[:1500]}")

    def _ask(self, case: Any, url: str, session: Any) -> None:
        from schemathesis.specs.openapi import checks

        if case.media_type not in _KINDS:
            return
        response = case.call(base_url=url, session=session, timeout=30)
        self.done.requests += 1
        self.done.statuses[response.status_code] += 1
        assert response.status_code in DOCUMENTED, (
            f"{response.status_code} {response.content[:300]!r} for {case.body!r}"
        )
        chosen = [checks.status_code_conformance, checks.content_type_conformance]
        if not _NO_NUMBERS.search(response.content):
            chosen.append(checks.response_schema_conformance)
        case.validate_response(response, checks=chosen)
