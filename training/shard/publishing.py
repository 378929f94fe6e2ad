"""Where checked parts go: into the keep bucket, the chain's record last, or into a folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from skylift.artifacts import layout, manifests, models
from skylift.artifacts.records import ModelManifest, ModelRef, digest_of, encode, now
from skylift.store import Store
from training.published import Published
from training.shard.report import Report
from training.shard.whole import Whole
from training.shard.writing import Written

REPORT = "sharding.json"


@dataclass(frozen=True)
class Ready:
    """Parts that hold, alone and as a chain."""

    opened: Published
    whole: Whole
    written: Written
    report: Report
    chain: str
    by: str


def publish(keep: Store, ready: Ready) -> Report:
    """Publish the parts, then the chain that names them: until then nobody is told of a part."""
    refs = []
    for folder, manifest in ready.written:
        made = models.publish(keep, manifest.name, folder, manifest)
        refs.append(ModelRef(name=made.name, version=made.version, digest=made.digest))
    report = _with_versions(ready.report, refs)
    folder = ready.written[0][0].parent / "chain"
    folder.mkdir()
    (folder / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    made = models.publish(keep, ready.chain, folder, _chain_manifest(ready, refs))
    chain = ModelRef(name=made.name, version=made.version, digest=made.digest)
    return msgspec.structs.replace(report, chain=chain)


def put(ready: Ready, out: Path) -> Report:
    """Write each part to `out/part<n>`, as serving reads a version, and the chain's manifest last."""
    out.mkdir(parents=True, exist_ok=True)
    refs = []
    for folder, manifest in ready.written:
        files = manifests.files_of(folder)
        shutil.copytree(folder, out / folder.name)
        raw = encode(msgspec.structs.replace(manifest, files=files))
        (out / folder.name / layout.MANIFEST).write_bytes(raw)
        refs.append(ModelRef(name=manifest.name, version=1, digest=digest_of(raw)))  # nobody has given them numbers
    report = msgspec.structs.replace(ready.report, folder=str(out))
    (out / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    (out / layout.MANIFEST).write_bytes(encode(_chain_manifest(ready, refs)))
    return report


def _with_versions(report: Report, refs: list[ModelRef]) -> Report:
    parts = [msgspec.structs.replace(part, version=ref) for part, ref in zip(report.parts, refs, strict=True)]
    return msgspec.structs.replace(report, parts=parts)


def _chain_manifest(ready: Ready, refs: list[ModelRef]) -> ModelManifest:
    """It takes and gives what the model does, and has no form of its own."""
    whole = ready.opened.manifest
    return ModelManifest(
        name=ready.chain,
        created=now(),
        by=ready.by,
        recipe=whole.recipe,
        dataset=whole.dataset,
        hyperparameters=whole.hyperparameters,
        signature=ready.whole.signature,
        task=whole.task,
        metrics=whole.metrics,
        formats={},
        files=[],
        skylift=version("skylift"),
        chain=refs,
    )
