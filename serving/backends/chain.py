"""A model that was cut into parts, which compute one behind another: here, in other processes, on other hosts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serving.backends import chain_fit
from serving.backends.base import Array, Backend
from serving.backends.chain_fit import Plan
from serving.backends.choose import load, of_manifest
from serving.backends.remotes import LOCAL, Remotes
from serving.options import BackendChoice
from serving.signature import DEFAULT_SIGNATURE, ModelSignature
from skylift.artifacts import layout
from skylift.artifacts.records import ModelManifest, ModelRef, decode
from skylift.errors import DeployError

_KEPT_PLANS = 64
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
        self.links = links
        self.signatures: Mapping[str, ModelSignature] = {DEFAULT_SIGNATURE: signature}
        is_spread = any(link.is_remote for link in links)
        self.concurrency = len(links) if is_spread else 1
        self._parts = [(link.backend.signatures[DEFAULT_SIGNATURE], link.sources) for link in links]
        self._outputs = chain_fit.givers(self._parts, signature)
        self._plans: dict[tuple[str, ...], Plan] = {}

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        known: Known = {(0, name): value for name, value in inputs.items()}
        plan = self._plans.get(tuple(outputs)) or self._plan(outputs)
        for number, gives in plan.gives.items():
            given = self.links[number - 1].run(known, gives, deadline)
            known.update({(number, name): value for name, value in given.items()})
            for key in plan.last_uses.get(number, ()):
                known.pop(key, None)  # what crosses a cut can be large
        return {name: known[source, name] for name, source in plan.outputs.items()}

    def _plan(self, names: Sequence[str]) -> Plan:
        outputs = {name: source for name, source in self._outputs.items() if not names or name in names}
        plan = chain_fit.plan(self._parts, outputs)
        if len(self._plans) < _KEPT_PLANS:
            self._plans[tuple(names)] = plan
        return plan

    def close(self) -> None:
        for link in self.links:
            link.backend.close()


def load_chain(
    manifest: ModelManifest,
    fetch: Callable[[ModelRef], Path],
    remotes: Remotes = LOCAL,
    *,
    choice: BackendChoice = "auto",
    threads: int = 1,
    gpu_index: int = 0,
    gpu_memory_mib: int = 0,
) -> ChainBackend:
    """The parts that a manifest's `chain` names, loaded here or asked elsewhere.

    Args:
        fetch: gives the folder that holds a part's files and its manifest; of a remote part the manifest alone, or nothing: then its
            server is asked what it takes and gives.

    Raises:
        DeployError: it is no chain, a part cannot be served, or parts do not fit together.
        UnreachableError: a remote part does not answer.
    """
    unknown = [str(number) for number in remotes.urls if not 1 <= number <= len(manifest.chain)]
    if not manifest.chain or unknown:
        raise DeployError(
            f"{manifest.name} is a chain of {len(manifest.chain)} parts"
            + (f", and has no part {', '.join(unknown)}" if unknown else ""),
            hint="name addresses for parts that there are, counted from 1",
        )
    links: list[Link] = []
    try:
        for number, part in enumerate(manifest.chain, start=1):
            folder = fetch(part)
            if number in remotes.urls:
                links.append(_remote(remotes, number, part, folder, links))
                continue
            try:
                own = read_manifest(folder)
            except FileNotFoundError:
                raise DeployError(
                    f"part {number}, {part.name}:{part.version}, is not at {folder}",
                    hint=f"put it there, or name a server that has it: --part {number}=URL",
                ) from None
            local = load(own, folder, choice, threads, gpu_index=gpu_index, gpu_memory_mib=gpu_memory_mib)
            links.append(Link(local, _sources(local, links, own.part.inputs if own.part else {})))
        chain = ChainBackend(links, of_manifest(manifest.signature))
        if remotes.must_answer:
            _meet(chain, manifest)
        return chain
    except BaseException:
        for link in links:
            link.backend.close()
        raise


def read_manifest(folder: Path) -> ModelManifest:
    path = folder / layout.MANIFEST
    return decode(path.read_bytes(), ModelManifest, str(path))


def _remote(remotes: Remotes, number: int, part: ModelRef, folder: Path, before: Sequence[Link]) -> Link:
    from serving.backends.remote import RemoteBackend

    own = read_manifest(folder) if (folder / layout.MANIFEST).is_file() else None
    backend = RemoteBackend(
        [url for url in remotes.urls[number].split(",") if url.strip()],
        part.name,
        part.version,
        of_manifest(own.signature) if own is not None else None,
        headers=remotes.headers,
        timeout_seconds=remotes.timeout_seconds,
    )
    told = own.part.inputs if own is not None and own.part is not None else {}
    return Link(backend, _sources(backend, before, told), is_remote=True)


def _meet(chain: ChainBackend, manifest: ModelManifest) -> None:
    """Ask every remote part once, and whether what it takes and gives there is what the others expect.

    Raises:
        UnreachableError: one does not answer.
        DeployError: it does not fit.
    """
    from serving.backends.remote import RemoteBackend

    there = []
    for link in chain.links:
        backend = link.backend
        own = backend.ask_signature() if isinstance(backend, RemoteBackend) else backend.signatures[DEFAULT_SIGNATURE]
        there.append((own, {**{tensor.name: 0 for tensor in own.inputs}, **link.sources}))
    chain_fit.givers(there, of_manifest(manifest.signature))


def _sources(backend: Backend, before: Sequence[Link], told: Mapping[str, int]) -> dict[str, int]:
    """Where each input comes from: as the part's manifest says, else from the nearest part before that gives this name."""
    sources = {}
    for tensor in backend.signatures[DEFAULT_SIGNATURE].inputs:
        givers = [number for number, link in enumerate(before, start=1) if _gives(link, tensor.name)]
        sources[tensor.name] = told.get(tensor.name, givers[-1] if givers else 0)
    return sources


def _gives(link: Link, name: str) -> bool:
    return any(tensor.name == name for tensor in link.backend.signatures[DEFAULT_SIGNATURE].outputs)
