"""The parts of a model, run one behind another in this process.

with tempfile.TemporaryDirectory() as scratch:
    chain = open_chain(open_store("file:///…/keep"), "digits-in3", Path(scratch))
    chain.run({"image": images})["probabilities"]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from skylift.artifacts import layout, models, transfer
from skylift.artifacts.records import ModelManifest, Signature, decode
from skylift.errors import InputError, NotFoundError
from skylift.store import Store
from training.export import running
from training.export.compare import Named, Runner

Form = Literal["saved_model", "onnx", "keras"]
FORMS: tuple[Form, ...] = ("keras", "saved_model", "onnx")


@dataclass(frozen=True)
class Link:
    """One part: what it takes and gives, and what computes it."""

    name: str
    signature: Signature
    run: Runner


@dataclass(frozen=True)
class Chain:
    """Parts in order. Each takes by name what the request or an earlier part gives.

    Args:
        outputs: names of what the last answer holds.
    """

    links: Sequence[Link]
    outputs: Sequence[str]

    def run(self, rows: Named) -> Named:
        """What the whole model gives for raw rows by the name of the input."""
        known = self.run_all(rows)
        return {name: known[name] for name in self.outputs}

    def run_all(self, rows: Named) -> Named:
        """Everything that crosses a cut, too."""
        known = dict(rows)
        for link in self.links:
            known.update(link.run({spec.name: known[spec.name] for spec in link.signature.inputs}))
        return known


def open_chain(keep: Store, name: str, scratch: Path, form: Form = "onnx") -> Chain:
    """The chain that `skylift shard` published as `name` (`digits-in3`, `digits-in3:1`), its parts below `scratch`.

    Raises:
        NotFoundError: no such model, or a part of it was removed.
        InputError: it is no chain, or a part lacks the form.
        DamagedError: a file was changed.
    """
    ref = models.resolve(keep, name)
    whole = models.read_manifest(keep, ref)
    if not whole.chain:
        raise InputError(
            f"{ref.name}:{ref.version} is no chain of parts", hint=f"make one: `skylift shard {ref.name} --parts 2`"
        )
    found = []
    for number, part in enumerate(whole.chain, start=1):
        folder = scratch / f"part{number}"
        folder.mkdir(parents=True)
        manifest = models.read_manifest(keep, part)
        transfer.download_folder(keep, layout.model(part.name, part.digest), manifest.files, folder)
        found.append((folder, manifest))
    return chain_of(found, [spec.name for spec in whole.signature.outputs], form)


def open_folder(folder: Path, form: Form = "onnx") -> Chain:
    """The chain that `skylift shard --out FOLDER` wrote.

    Raises:
        NotFoundError: there are no parts in the folder.
        InputError: a part lacks the form.
    """
    whole = folder / layout.MANIFEST
    if not whole.is_file():
        raise NotFoundError(
            f"there is no {whole}", hint="write parts there: `skylift shard MODEL --parts 2 --out FOLDER`"
        )
    manifest = decode(whole.read_bytes(), ModelManifest, str(whole))
    parts = sorted(folder.glob(f"part*/{layout.MANIFEST}"), key=lambda path: int(path.parent.name.removeprefix("part")))
    found = [(path.parent, decode(path.read_bytes(), ModelManifest, str(path))) for path in parts]
    return chain_of(found, [spec.name for spec in manifest.signature.outputs], form)


def chain_of(parts: Sequence[tuple[Path, ModelManifest]], outputs: Sequence[str], form: Form) -> Chain:
    """A chain of versions that lie in folders.

    Raises:
        InputError: a part lacks the form.
    """
    load = _loader(form)
    links = []
    for folder, manifest in parts:
        stored = manifest.formats.get(form)
        if stored is None:
            raise InputError(
                f"{manifest.name} has no form {form}, only {', '.join(manifest.formats)}",
                hint="open the chain with one of those",
            )
        links.append(Link(manifest.name, manifest.signature, load(folder / stored.path, manifest.signature)))
    return Chain(links, outputs)


def _loader(form: Form) -> Callable[[Path, Signature], Runner]:
    if form == "onnx":
        return lambda path, signature: running.onnx_runner(running.onnx_session(path))
    from training.importing.original import start_tensorflow

    tf, keras = start_tensorflow()
    if form == "saved_model":
        return lambda path, signature: running.saved_model_runner(tf, path)
    from training.shard.masks import mask_layers

    mask_layers()
    return lambda path, signature: keras_runner(tf, running.load_keras(keras, path), signature)


def keras_runner(tf: Any, model: Any, signature: Signature) -> Runner:
    """A part's Keras model, called by the names of its signature."""
    from training.shard.build import serving

    return running.function_runner(tf, serving(tf, model, signature))
