"""Which row belongs to which split: by the hash of its inputs, class by class, so that order, files and pieces do not matter.

Inside a stratum (a class, of rows whose source gives no split) the rows with the smallest hashes are the test split, the next ones the
validation split. Equal inputs have equal hashes, so they can only meet in one split; where a source gives splits itself they can
meet in two, and that is a leak, which is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from training.contract import Array
from training.data.chunks import SPLITS
from training.data.fingerprint import RECORD
from training.data.schema import Schema

LEAKS = 20
"""Most leaks of a range of hashes that are named; all are counted."""
DROPPED = -1
PRIORITY = (2, 3, 1, 0)
"""Which copy stays, by how its split is given (not, train, validation, test): the smallest number. What was set aside stays there."""

MOVED = np.dtype([("row", "<i4"), ("stratum", "<i4")])
"""A row that is dropped, or that goes with its copies into another stratum than its own."""
KEPT = np.dtype([("stratum", "<i4"), ("high", "<u8")])


class Place(msgspec.Struct, frozen=True):
    """A row, by piece and number in it."""

    piece: int
    row: int
    split: str


class Leak(msgspec.Struct, frozen=True):
    """The same inputs in two splits."""

    places: list[Place]


class Compared(msgspec.Struct):
    """What was found in a range of hashes. `offsets` says where each piece's moved rows begin."""

    strata: dict[int, int] = {}
    """Rows that stay, by stratum."""
    duplicates: int = 0
    contradicting: int = 0
    """Of them, those whose target is another than that of the row that stayed."""
    leaking: int = 0
    leaks: list[Leak] = []
    offsets: list[int] = []


def compare(pieces: Sequence[Array], schema: Schema) -> tuple[Compared, Array, Array]:
    """Find equal rows among the records of one range of hashes, given piece by piece.

    Returns:
        What was found; the moved rows, piece by piece; stratum and hash of those that stay, in that order.
    """
    classes = max(len(schema.labels), 1)
    records = np.concatenate(pieces) if pieces else np.empty(0, RECORD)
    owner = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    given = records["stratum"] // classes
    order = np.lexsort((records["row"], owner, np.asarray(PRIORITY)[given], records["low"], records["high"]))
    records, owner, given = records[order], owner[order], given[order]
    first = np.ones(len(records), bool)
    first[1:] = (records["high"][1:] != records["high"][:-1]) | (records["low"][1:] != records["low"][:-1])
    leader = np.flatnonzero(first)[np.cumsum(first) - 1] if len(records) else np.empty(0, np.int64)
    copies = ~first
    found = Compared(
        duplicates=int(copies.sum()),
        contradicting=int((copies & (records["target"] != records["target"][leader])).sum()),
    )
    _leaks(found, owner, records, given, leader)
    drop = schema.asked.duplicates == "drop"
    strata = np.where(copies, DROPPED if drop else records["stratum"][leader], records["stratum"]).astype(np.int32)
    if not drop:  # a copy with a split of another kind than its leader's would leak
        strata = np.where(copies & (given != given[leader]), DROPPED, strata).astype(np.int32)
    moved, found.offsets = _moved(strata, records, owner, len(pieces))
    stays = strata != DROPPED
    kept = np.empty(int(stays.sum()), KEPT)
    kept["stratum"], kept["high"] = strata[stays], records["high"][stays]
    kept = kept[np.argsort(kept["stratum"], kind="stable")]
    names, counts = np.unique(kept["stratum"], return_counts=True)
    found.strata = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return found, moved, kept


def _moved(strata: Array, records: Array, owner: Array, pieces: int) -> tuple[Array, list[int]]:
    changed = np.flatnonzero(strata != records["stratum"])
    changed = changed[np.argsort(owner[changed], kind="stable")]
    moved = np.empty(len(changed), MOVED)
    moved["row"], moved["stratum"] = records["row"][changed], strata[changed]
    return moved, np.searchsorted(owner[changed], np.arange(pieces + 1)).tolist()


def _leaks(found: Compared, owner: Array, records: Array, given: Array, leader: Array) -> None:
    other = np.flatnonzero((given != given[leader]) & (given > 0) & (given[leader] > 0))
    found.leaking = len(other)
    for at in other[:LEAKS].tolist():
        both = [int(leader[at]), at]
        places = [Place(int(owner[one]), int(records["row"][one]), SPLITS[int(given[one]) - 1]) for one in both]
        found.leaks.append(Leak(places))


class Cut(msgspec.Struct, frozen=True):
    """Of a stratum: hashes below `test` are tested on, from there below `validation` validated on, from there on learned from."""

    test: int = 0
    validation: int = 0


END = (1 << 64) - 1

TOLERANCE = 0.005
"""Part of a class's rows by which a split may differ from its share, where that lets the same hashes belong to it for ever.

So of a large set no row changes its split when others are added, and the shards of files that stayed are the same.
"""


def lasting(rank: int, total: int, part: float, below: int) -> bool:
    """Whether the hashes below `part` of all hashes are near enough: there are `below` such rows of `total`, wanted are `rank`."""
    return 0 < rank < total and 0 < part < 1 and 0 < below < total and abs(below - rank) <= TOLERANCE * total


def shares(total: int, part: float) -> int:
    """Rows of a part: at least one where there are three, so that no class is missing."""
    if part <= 0 or total < 3:
        return 0
    return max(round(total * part), 1)


def ranks(schema: Schema, strata: dict[int, int]) -> dict[int, tuple[int, int]]:
    """For every stratum how many rows come before the end of test, and before the end of validation."""
    classes = max(len(schema.labels), 1)
    given = {stratum // classes for stratum, count in strata.items() if count}
    wanted: dict[int, tuple[int, int]] = {}
    for stratum, total in strata.items():
        own = stratum // classes
        if own == 1 + SPLITS.index("test"):
            wanted[stratum] = (total, total)
        elif own == 1 + SPLITS.index("validation"):
            wanted[stratum] = (0, total)
        else:
            test = 0 if 1 + SPLITS.index("test") in given else shares(total, schema.asked.test_share)
            validation = 0 if 1 + SPLITS.index("validation") in given else shares(total, schema.asked.validation_share)
            wanted[stratum] = (test, min(test + validation, total))
    return wanted


def splits_of(strata: Array, highs: Array, cuts: dict[int, Cut]) -> Array:
    """The place of every row's split in SPLITS, `[rows] int8`; DROPPED where its stratum is."""
    found = np.full(len(strata), DROPPED, np.int8)
    for stratum, cut in cuts.items():
        inside = strata == stratum
        if inside.any():
            values = highs[inside]
            is_test = values < np.uint64(cut.test) if cut.test < END else np.ones(len(values), bool)
            is_validation = values < np.uint64(cut.validation) if cut.validation < END else np.ones(len(values), bool)
            found[inside] = np.where(is_test, 2, np.where(is_validation, 1, 0))
    return found
