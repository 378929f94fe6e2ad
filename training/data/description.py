"""What the steps found, put together as dataset.json says it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from training.data import measures
from training.data.chunks import SPLITS
from training.data.fingerprint import Sample, Tally
from training.data.format import Cleaned, Cleaning, ColumnInfo, Description, Normalisation, SplitInfo, TargetInfo
from training.data.measures import Learned, Moments
from training.data.schema import ColumnPlan, Schema
from training.data.sources import Source
from training.data.splitting import Compared
from training.data.survey import Survey
from training.data.writing import CATEGORIES, NUMBERS, Done, groups_of


@dataclass(frozen=True)
class Prepared:
    """All that the steps found."""

    source: Source
    schema: Schema
    seen: Survey
    tallies: list[Tally]
    compared: list[Compared]
    learned: Learned
    done: list[Done]
    sample: Sample


def describe(made: Prepared) -> Description:
    """What goes into dataset.json."""
    moments = measures.total(each.moments for each in made.done)
    schema = made.schema
    splits = {name: _split(name, made) for name in SPLITS}
    given = made.schema.asked.split_column or (
        "folders and names" if any(made.seen.given.get(name) for name in SPLITS) else ""
    )
    return Description(
        source=_plain_source(made.source),
        columns=[_column(plan, made, moments) for plan in schema.columns],
        target=TargetInfo(
            name=schema.target,
            task=schema.task,
            labels=schema.labels,
            normalisation=_normal(moments.get(schema.target)),
        ),
        splits=splits,
        cleaning=_cleaning(made, sum(split.rows for split in splits.values())),
        split_by=given or "content",
        seed=schema.asked.seed,
        statistics_exact=made.learned.exact,
    )


def _plain_source(source: Source) -> str:
    kind = {"csv": "CSV", "arrays": "numpy", "tfrecord": "TFRecord", "parquet": "Parquet"}.get(source.kind, source.kind)
    if ":" in source.place and "/" not in source.place:
        return source.place
    return f"{source.files} {kind} file{'s' if source.files != 1 else ''}"


def _split(name: str, made: Prepared) -> SplitInfo:
    classes = [sum(column) for column in zip(*(each.classes[name] for each in made.done), strict=True)]
    shards = [shard for each in made.done for shard in each.shards[name]]
    return SplitInfo(sum(each.rows.get(name, 0) for each in made.done), classes, shards)


def _column(plan: ColumnPlan, made: Prepared, moments: dict[str, Moments]) -> ColumnInfo:
    group = {"number": NUMBERS, "category": CATEGORIES}.get(plan.kind, plan.name)
    return ColumnInfo(
        name=plan.name,
        kind=plan.kind,
        group=group,
        dtype=groups_of(made.schema)[group][0].name,
        shape=plan.shape,
        vocabulary=made.learned.vocabulary.get(plan.name, []),
        fill=made.learned.fill.get(plan.name),
        normalisation=_normal(moments.get(plan.name)),
    )


def _normal(moments: Moments | None) -> Normalisation:
    if moments is None or not moments.count:
        return Normalisation()
    low, high = [float(value) for value in moments.low], [float(value) for value in moments.high]
    return Normalisation([float(value) for value in moments.mean], moments.deviation(), low, high)


def _cleaning(made: Prepared, kept: int) -> Cleaning:
    duplicates = sum(each.duplicates for each in made.compared)
    dropped = made.schema.asked.duplicates == "drop"
    names = [*(plan.name for plan in made.schema.columns), made.schema.target]
    return Cleaning(
        rows_read=made.seen.rows,
        rows_kept=kept,
        duplicates=duplicates,
        duplicates_dropped=duplicates if dropped else 0,
        contradicting=sum(each.contradicting for each in made.compared),
        unusable=sum(each.unusable for each in made.tallies),
        incomplete=sum(each.incomplete for each in made.tallies),
        outliers_dropped=sum(each.dropped for each in made.done),
        leaks_dropped=sum(each.leaking for each in made.compared),
        columns=[_cleaned(name, made) for name in names],
        left_out=made.schema.dropped,
    )


def _cleaned(name: str, made: Prepared) -> Cleaned:
    counts = [tally.columns[name] for tally in made.tallies if name in tally.columns]
    found = Cleaned(
        column=name,
        missing=sum(each.missing for each in counts),
        wrong=sum(each.wrong for each in counts),
        outliers=sum(each.outliers.get(name, 0) for each in made.done),
        filled=sum(each.filled.get(name, 0) for each in made.done),
        unknown=sum(each.unknown.get(name, 0) for each in made.done),
        cut=sum(each.cut for each in counts),
    )
    return msgspec.structs.replace(found, did="; ".join(_did(name, found, made)))


def _did(name: str, found: Cleaned, made: Prepared) -> list[str]:
    schema = made.schema
    kind = next((plan.kind for plan in schema.columns if plan.name == name), "target")
    said = []
    if found.missing or found.wrong:
        fill = made.learned.fill.get(name)
        if (
            kind in ("target", "image")
            or schema.asked.missing == "drop"
            or (kind == "tensor" and schema.asked.missing != "keep")
        ):
            said.append("rows dropped")
        elif fill is not None:
            said.append(f"filled with the training split's {schema.asked.missing}, {fill:.6g}")
        else:
            kept = {"category": "kept as code 0", "text": "kept as an empty text"}
            said.append(kept.get(kind, "kept as NaN"))
    if found.outliers:
        said.append(
            {"keep": "outliers kept", "drop": "rows with outliers dropped", "clip": "outliers clipped"}[
                schema.asked.outliers
            ]
        )
    if found.cut:
        said.append(f"{found.cut} texts cut off")
    return said
