"""From a source to a folder of shards with its dataset.json: the steps in order, and what is decided between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skylift.errors import InputError
from training.contract import Array
from training.data import measures, sources, splitting, steps, survey
from training.data.description import Prepared
from training.data.fingerprint import BUCKETS, Sample, Tally, sample_limit
from training.data.folder import Folder, folder
from training.data.problems import Problem, refusal
from training.data.runners import Runner
from training.data.schema import Asked, Schema, check, decide
from training.data.sources import Source
from training.data.splitting import END, Compared, Cut, Leak
from training.data.survey import Survey
from training.data.writing import Done


def prepare(source: Source, asked: Asked, work_url: str, runner: Runner) -> Prepared:
    """Clean, split and write a source into the work folder's `out`.

    Raises:
        InputError: the source has problems, all of them named; or it leaks.
    """
    check(asked)
    work = folder(work_url)
    work.write("reading", source.reading)
    runner.each("survey", work_url, source.pieces)
    seen = survey.merged(work.read(f"survey/{piece.number}", Survey) for piece in source.pieces)
    try:
        schema = decide(source.place, seen, asked, source.target)
    except InputError as error:
        raise _with_places(source, error, asked) from None
    work.write("schema", schema)
    runner.each("fingerprint", work_url, source.pieces)
    tallies = [work.read(f"tally/{piece.number}", Tally) for piece in source.pieces]
    rows = sum(tally.offsets[-1] for tally in tallies)
    if not rows:
        raise refusal(source.place, [Problem(what="no row is left", fix="fill missing values: --missing median")])
    work.write_array("offsets", np.array([tally.offsets for tally in tallies], "<i8").reshape(-1, BUCKETS + 1))
    ranges = steps.ranges(rows, len(tallies))
    work.write("ranges", len(ranges))
    runner.each("compare", work_url, ranges)
    compared = [work.read(f"compared/{each.number}", Compared) for each in ranges]
    _refuse_leaks(source, schema, compared)
    sample = _sample(work, source, schema)
    learned = measures.learn(sample, _cuts(work, schema, compared), schema, _seen(work, source, schema), rows)
    work.write("learned", learned)
    runner.each("write", work_url, source.pieces)
    done = [work.read(f"done/{piece.number}", Done) for piece in source.pieces]
    _refuse_empty(source, done)
    return Prepared(source, schema, seen, tallies, compared, learned, done, sample)


def _sample(work: Folder, source: Source, schema: Schema) -> Sample:
    whole = Sample()
    for piece in source.pieces:
        if work.store.stat(f"sample/{piece.number}") is not None:
            whole = whole.add(Sample.of(steps.load(work, f"sample/{piece.number}")), sample_limit(schema))
    return whole


def _seen(work: Folder, source: Source, schema: Schema) -> dict[str, Array]:
    """By category, value and stratum, the largest hash over all pieces."""
    whole: dict[str, Array] = {}
    for piece in source.pieces if schema.of("category") else ():
        for name, values in steps.load(work, f"seen/{piece.number}").items():
            whole[name] = np.maximum(whole[name], values) if name in whole else values
    return whole


def _cuts(work: Folder, schema: Schema, compared: list[Compared]) -> dict[int, Cut]:
    """The hashes at which splits end, from the ranks that they must have."""
    strata: dict[int, int] = {}
    for each in compared:
        for stratum, count in each.strata.items():
            strata[stratum] = strata.get(stratum, 0) + count
    wanted = splitting.ranks(schema, strata)
    parts = (schema.asked.test_share, schema.asked.test_share + schema.asked.validation_share)
    ideal = [min(int(part * 2**64), END) for part in parts]
    found = {stratum: [0 if rank == 0 else END for rank in ranks] for stratum, ranks in wanted.items()}
    before = dict.fromkeys(strata, 0)
    below = {stratum: [0, 0] for stratum in strata}
    for number, each in enumerate(compared):
        kept = work.read_array(f"kept/{number}", splitting.KEPT)
        at = 0
        for stratum, count in sorted(each.strata.items()):
            for side, rank in enumerate(wanted[stratum]):
                below[stratum][side] += int(np.searchsorted(kept["high"][at : at + count], np.uint64(ideal[side])))
                if before[stratum] <= rank < before[stratum] + count and rank:
                    found[stratum][side] = int(kept["high"][at + rank - before[stratum]])
            before[stratum] += count
            at += count
    for stratum, ranks in wanted.items():
        sides = zip(ranks, parts, below[stratum], strict=True)
        if all(rank == 0 or splitting.lasting(rank, strata[stratum], part, there) for rank, part, there in sides):
            found[stratum] = [cut if rank else 0 for rank, cut in zip(ranks, ideal, strict=True)]
    return {stratum: Cut(test, validation) for stratum, (test, validation) in found.items()}


def _refuse_leaks(source: Source, schema: Schema, compared: list[Compared]) -> None:
    leaking = sum(each.leaking for each in compared)
    if not leaking or schema.asked.leaks == "drop":
        return
    leaks = [leak for each in compared for leak in each.leaks][: splitting.LEAKS]
    raise refusal(
        source.place,
        [
            Problem(
                what=f"{leaking} rows leak: the same inputs are in two splits",
                fix="--leaks drop takes the copies out of training",
            )
        ]
        + [_leak(source, leak) for leak in leaks],
    )


def _leak(source: Source, leak: Leak) -> Problem:
    places = []
    for place in leak.places:
        file, row = locate(source, place.piece, place.row)
        places.append((file, row, place.split))
    (file, row, split), (other, its, where) = places
    return Problem(what=f"is in {split} and again in {where} ({other}, row {its})", file=file, row=row)


def locate(source: Source, piece: int, row: int) -> tuple[str, int]:
    """The file and the row in it of a piece's row."""
    for chunk in sources.read(source.pieces[piece], source.reading):
        if isinstance(chunk, Problem):
            continue
        if row < chunk.rows:
            return survey.row_of(chunk, row)
        row -= chunk.rows
    return source.place, row


def _refuse_empty(source: Source, done: list[Done]) -> None:
    for split in ("train", "validation", "test"):
        if not sum(each.rows.get(split, 0) for each in done):
            said = f"the {split} split would be empty"
            fix = "add rows, or give a larger share (--validation, --test)"
            raise refusal(source.place, [Problem(what=said, fix=fix)])


def _with_places(source: Source, error: InputError, asked: Asked) -> InputError:
    """The error, with the rows of labels that are out of range."""
    target = asked.target or source.target
    if not asked.labels or not any("out of range" in problem["what"] for problem in error.details["problems"]):
        return error
    found = [Problem(**problem) for problem in error.details["problems"]]
    return refusal(source.place, [*found, *_strange(source, target, set(asked.labels))])


def _strange(source: Source, target: str, labels: set[str]) -> Iterator[Problem]:
    from training.data import cells

    left = survey.EXAMPLES
    for piece in source.pieces:
        for chunk in sources.read(piece, source.reading):
            if isinstance(chunk, Problem) or target not in chunk.columns:
                continue
            for at, label in enumerate(cells.texts(chunk.columns[target]).to_pylist()):
                if label is not None and label not in labels:
                    file, row = survey.row_of(chunk, at)
                    yield Problem(what=f"has the label {label!r}", file=file, row=row, column=target)
                    left -= 1
                    if not left:
                        return


def out_of(work_url: str) -> Path | None:
    """Where the shards lie, if that is a folder of this machine."""
    where = folder(work_url).store.folder
    return where / "out" if where is not None else None
