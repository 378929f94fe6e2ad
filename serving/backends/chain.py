"""A model that was cut into parts, which compute one behind another: here, in other processes, on other hosts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serving.backends import chain_fit
from serving.backends.base import Array, Backend
from serving.backends.choose import load, of_manifest
from serving.options import BackendChoice
from serving.signature import DEFAULT_SIGNATURE, ModelSignature
from skylift.artifacts import layout
from skylift.artifacts.records import ModelManifest, ModelRef, decode
from skylift.errors import DeployError

Known = dict[tuple[int, str], Array]
"""What has been computed, by the number of the part that gave it and its name; 0 is the request itself."""


@dataclass(frozen=True)
class Link:
    """One part.

    Args:
        sources: by input, the number of the part that gives it, counted from 1; 0: the request.
        is_remote: another machine computes it: several calls may be under way.
    """

    backend: Backend
    sources: Mapping[str, int]
    is_remote: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, known: Known, outputs: Sequence[str], deadline: float | None) -> dict[str, Array]:
        inputs = {name: known[source, name] for name, source in self.sources.items()}
        if self.is_remote:
            return self.backend.run(DEFAULT_SIGNATURE, inputs, outputs, deadline=deadline)
        with self.lock:
            return self.backend.run(DEFAULT_SIGNATURE, inputs, outputs, deadline=deadline)


class ChainBackend:
    """Runs its parts in order, one batch in each of them at a time.

    Called by as many threads as `concurrency` says, it is a pipeline: while a batch is in one part, the next is in the part before. That
    is 1 where all parts compute here, since they share the same CPUs then.

    Args:
        links: in order.
        signature: of the whole.

    Raises:
        DeployError: parts do not fit together; all that does not fit is named.
    """

    name = "chain"
    platform = "skylift_chain"
    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}

    def __init__(self, links: Sequence[Link], signature: ModelSignature) -> None:
        self._links = links
        self.signatures: Mapping[str, ModelSignature] = {DEFAULT_SIGNATURE: signature}
        is_spread = any(link.is_remote for link in links)
        self.concurrency = len(links) if is_spread else 1
        parts = [(link.backend.signatures[DEFAULT_SIGNATURE], link.sources) for link in links]
        self._outputs = chain_fit.givers(parts, signature)
        self._last_use = chain_fit.last_uses(parts, self._outputs)
        self._gives = [chain_fit.handed_on(number, parts, self._outputs) for number in range(1, len(links) + 1)]

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        known: Known = {(0, name): value for name, value in inputs.items()}
        for number, link in enumerate(self._links, start=1):
            given = link.run(known, self._gives[number - 1], deadline)
            known.update({(number, name): value for name, value in given.items()})
            for key in self._last_use.get(number, ()):
                known.pop(key, None)  # what crosses a cut can be large
        return {name: known[source, name] for name, source in self._outputs.items() if not outputs or name in outputs}

    def close(self) -> None:
        for link in self._links:
            link.backend.close()


def load_chain(
    manifest: ModelManifest,
    fetch: Callable[[ModelRef], Path],
    remotes: Mapping[int, str],
    *,
    choice: BackendChoice = "auto",
    threads: int = 1,
    gpu_index: int = 0,
    gpu_memory_mib: int = 0,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 30.0,
) -> ChainBackend:
    """The parts that a manifest's `chain` names, loaded here or asked elsewhere.

    Args:
        fetch: gives the folder that holds a part's files and its manifest. Of a remote part it is not called.
        remotes: by number of a part, counted from 1, the address of an endpoint that serves it, several with commas between; the endpoint
            must be up, for what the part takes and gives is asked there.
        headers: sent to remote parts, such as `Authorization`.
        timeout_seconds: of a remote part whose caller has no earlier deadline.

    Raises:
        DeployError: it is no chain, a part cannot be served, or parts do not fit together.
        UnreachableError: a remote part does not answer.
    """
    unknown = [str(number) for number in remotes if not 1 <= number <= len(manifest.chain)]
    if not manifest.chain or unknown:
        raise DeployError(
            f"{manifest.name} is a chain of {len(manifest.chain)} parts"
            + (f", and has no part {', '.join(unknown)}" if unknown else ""),
            hint="name addresses for parts that there are, counted from 1",
        )
    links: list[Link] = []
    try:
        for number, part in enumerate(manifest.chain, start=1):
            if number in remotes:
                urls = [url for url in remotes[number].split(",") if url.strip()]
                backend = _remote(urls, part, headers, timeout_seconds)
                links.append(Link(backend, _sources(backend, links, {}), is_remote=True))
            else:
                folder = fetch(part)
                own = read_manifest(folder)
                local = load(own, folder, choice, threads, gpu_index=gpu_index, gpu_memory_mib=gpu_memory_mib)
                links.append(Link(local, _sources(local, links, own.part.inputs if own.part else {})))
        return ChainBackend(links, of_manifest(manifest.signature))
    except BaseException:
        for link in links:
            link.backend.close()
        raise


def read_manifest(folder: Path) -> ModelManifest:
    path = folder / layout.MANIFEST
    return decode(path.read_bytes(), ModelManifest, str(path))


def _remote(urls: list[str], part: ModelRef, headers: Mapping[str, str] | None, timeout_seconds: float) -> Backend:
    from serving.backends.remote import RemoteBackend

    return RemoteBackend(urls, part.name, part.version, headers=headers, timeout_seconds=timeout_seconds)


def _sources(backend: Backend, before: Sequence[Link], told: Mapping[str, int]) -> dict[str, int]:
    """Where each input comes from: as the part's manifest says, else from the nearest part before that gives this name."""
    sources = {}
    for tensor in backend.signatures[DEFAULT_SIGNATURE].inputs:
        givers = [number for number, link in enumerate(before, start=1) if _gives(link, tensor.name)]
        sources[tensor.name] = told.get(tensor.name, givers[-1] if givers else 0)
    return sources


def _gives(link: Link, name: str) -> bool:
    return any(tensor.name == name for tensor in link.backend.signatures[DEFAULT_SIGNATURE].outputs)
