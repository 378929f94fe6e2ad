"""`training shard`: from a published model to the versions that its parts are, or to folders."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skylift.artifacts import layout, models
from skylift.errors import InputError, MachineError
from skylift.store import Store
from training.export.compare import ExportError, Named
from training.importing.original import start_tensorflow
from training.published import Published, open_published
from training.shard.build import Part, cut_up
from training.shard.cost import measure
from training.shard.cuts import Layer, Wish, choose
from training.shard.exact import check_opened
from training.shard.graph import Graph, trace
from training.shard.masks import mask_layers
from training.shard.pace import Pace, measure_pace
from training.shard.publishing import Ready, publish, put
from training.shard.report import PartReport, Report
from training.shard.whole import Whole, prepare
from training.shard.writing import Written, chain_name, check_chains, manifest_of, part_name, write_part

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Order:
    """What is asked.

    Args:
        model: `digits`, `digits:3`.
        name: what the parts' names begin with; empty: the model's name.
        out: a folder to write to instead of publishing.
    """

    model: str
    wish: Wish
    by: str
    name: str = ""
    out: Path | None = None


@dataclass(frozen=True)
class Cut:
    """A model that was measured and cut, not yet written."""

    opened: Published
    whole: Whole
    graph: Graph
    layers: list[Layer]
    parts: list[Part]


def shard(keep: Store, order: Order, tell: Tell) -> Report:
    """Cut a published model into parts, compare them one by one and as a chain, and publish them, the chain's record last.

    Raises:
        NotFoundError: no such model.
        InputError: it cannot be cut so, or its parts cannot be stored.
        MachineError: the disk is full, or what is needed is not installed.
    """
    order.wish.check()
    if order.out is not None and order.out.exists() and any(order.out.iterdir()):
        raise InputError(f"{order.out} is not empty", hint="name a new folder, or remove what is in it")
    count = order.wish.parts
    try:
        with tempfile.TemporaryDirectory(prefix="skylift-shard-") as scratch:
            tell(0, count + 3, f"opening {order.model}")
            opened = _open(keep, order.model, Path(scratch))
            name = order.name or opened.ref.name
            layout.check_name("model", part_name(name, count, count))
            tell(1, count + 3, "measuring its layers")
            cut = cut_model(opened, order.wish)
            ready = _write(cut, order, name, Path(scratch) / "parts", tell)
            tell(count + 2, count + 3, "storing the parts")
            return put(ready, order.out) if order.out is not None else publish(keep, ready)
    except ExportError as error:
        raise InputError(error.message, hint=error.hint) from None
    except OSError as error:
        if getattr(error, "errno", None) not in (28, 122):
            raise
        raise MachineError(
            f"the disk is full: {error.filename or error}", hint="free some space, or point TMPDIR at a larger disk"
        ) from None


def _open(keep: Store, model: str, scratch: Path) -> Published:
    ref = models.resolve(keep, model)
    manifest = models.read_manifest(keep, ref)
    if manifest.chain:
        part = models.read_manifest(keep, manifest.chain[0]).part
        of = f"{part.of.name}:{part.of.version}" if part else "MODEL"
        raise InputError(
            f"{ref.name}:{ref.version} is a chain of parts already",
            hint=f"cut its model anew: `skylift shard {of} --parts N`",
        )
    if manifest.part is not None:
        start_tensorflow()
        mask_layers()  # which its .keras file may hold
    return open_published(keep, model, scratch)


def cut_model(opened: Published, wish: Wish) -> Cut:
    """Measure the model's layers and choose where to cut.

    Raises:
        InputError: it has no graph of layers, or not so many places to cut.
        ExportError: its layers one behind another do not compute what it computes.
    """
    whole = prepare(opened)
    names = [spec.name for spec in whole.signature.inputs], [spec.name for spec in whole.signature.outputs]
    graph = trace(opened.model, *names, opened.name)
    layers, given = measure(opened.tf, graph, whole.rows, whole.signature)
    check_opened(given, whole.expected, opened.name)
    ends = choose(layers, wish, opened.name)
    return Cut(opened, whole, graph, layers, cut_up(graph, ends, whole.signature))


def _write(cut: Cut, order: Order, name: str, scratch: Path, tell: Tell) -> Ready:
    opened, count = cut.opened, len(cut.parts)
    known: Named = dict(cut.whole.rows)
    written: Written = []
    notes: list[str] = []
    for number, part in enumerate(cut.parts, start=1):
        tell(1 + number, count + 3, f"writing part {number} of {count}")
        folder = scratch / f"part{number}"
        exported = write_part(opened, part, known, folder)
        notes += [f"part {number}: {note}" for note in exported.notes]
        written.append((folder, manifest_of(opened, part, exported, name, (number, count), order.by)))
    parity, written = check_chains(opened, cut.whole, written, notes)
    pace = measure_pace(opened, cut.whole, cut.parts, written, known, order.wish)
    report = Report(
        model=opened.name,
        objective=order.wish.objective,
        bandwidth=order.wish.bandwidth,
        parts=[_reported(cut, number, manifest.formats, pace, name) for number, (_, manifest) in enumerate(written)],
        parity=parity,
        efficiency=pace.efficiency,
        rows="test split" if cut.whole.has_data else "made up from the signature: there is no data",
        notes=notes,
    )
    return Ready(opened, cut.whole, written, report, chain_name(name, count), order.by)


def _reported(cut: Cut, number: int, forms: object, pace: Pace, name: str) -> PartReport:
    part = cut.parts[number]
    layers = cut.layers[part.first : part.end]
    ms = {size: times[number] for size, times in pace.parts_ms.items()}
    total = sum(pace.parts_ms[max(pace.parts_ms)])
    variables: dict[int, int] = {}
    for layer in layers:
        variables.update(layer.variables)
    return PartReport(
        name=part_name(name, number + 1, len(cut.parts)),
        first=layers[0].name,
        last=layers[-1].name,
        layers=len(layers),
        parameters=int(part.model.count_params()),
        parameter_bytes=sum(variables.values()),
        activation_bytes=max(layer.alive for layer in layers),
        bytes_in=layers[0].bytes_before if number else 0,
        ms=ms,
        share=ms[max(ms)] / total if total else 0.0,
        inputs=part.sources,
        outputs=[spec.name for spec in part.signature.outputs],
        forms=list(forms),  # type: ignore[call-overload]
    )
