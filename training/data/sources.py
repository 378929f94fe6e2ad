"""What lies at a place: which kind of files, cut into pieces, read chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import msgspec

from training.data import array_files, csv_files, image_files, packaged, parquet_files, places, tfrecord_files
from training.data.chunks import Chunk, Part, Piece, Reading, given_split
from training.data.places import Found
from training.data.problems import BrokenError, Problem, refusal

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz"),
    "parquet": (".parquet", ".pq"),
    "arrays": (".npy", ".npz"),
    "images": (".png", ".jpg", ".jpeg"),
    "tfrecord": (".tfrecord", ".tfrecords", ".tfrec", ".tfrecord.gz"),
}
_PLANS: Mapping[str, Callable[[list[tuple[Found, str]], Reading], list[Piece]]] = {
    "csv": csv_files.plan,
    "parquet": parquet_files.plan,
    "arrays": array_files.plan,
    "images": image_files.plan,
    "tfrecord": tfrecord_files.plan,
}
_READERS: Mapping[str, Callable[[Part, Reading], Iterator[Chunk]]] = {
    "csv": csv_files.read,
    "parquet": parquet_files.read,
    "arrays": array_files.read,
    "tfrecord": tfrecord_files.read,
    "packaged": packaged.read,
}


class Source(msgspec.Struct, frozen=True):
    """A source that was looked at: `others` are files of kinds that are not read."""

    place: str
    kind: str
    files: int
    bytes: int
    pieces: list[Piece]
    reading: Reading
    others: int = 0
    target: str = ""
    """The column that the source itself says is asked for."""


def look(place: str, reading: Reading) -> Source:
    """Which files are there, and how they are cut.

    Raises:
        NotFoundError: there is nothing.
        InputError: nothing of a known kind, or of several.
    """
    target, shown = "", place
    if packaged.is_packaged(place):
        path, target = packaged.as_file(place), packaged.target_of(place)
        if path is None:
            return Source(place, "packaged", 1, 0, packaged.plan(place), reading, 0, target)
        place = str(path)
    found = places.find(place)
    kinds = Counter(kind for each in found if (kind := _kind(each.name)))
    if not kinds:
        known = ", ".join(ending for endings in ENDINGS.values() for ending in endings)
        raise refusal(shown, [Problem(what="no file is of a known kind", fix=f"known are {known}", file=found[0].name)])
    if len(kinds) > 1:
        said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        raise refusal(
            shown, [Problem(what=f"the files are of several kinds: {said}", fix="name a folder with one kind")]
        )
    kind = next(iter(kinds))
    taken = [(each, _given(each.name)) for each in found if _kind(each.name)]
    if any(each.name.lower().endswith((".tsv", ".tsv.gz")) for each, _ in taken) and reading.delimiter == ",":
        reading = msgspec.structs.replace(reading, delimiter="\t")
    size = sum(each.size for each, _ in taken)
    target = target or ("label" if kind == "images" else "")
    return Source(shown, kind, len(taken), size, _PLANS[kind](taken, reading), reading, len(found) - len(taken), target)


def _kind(name: str) -> str:
    return next((kind for kind, endings in ENDINGS.items() if name.lower().endswith(endings)), "")


def _given(name: str) -> str:
    """The split that the first folder, or the file's own name, says."""
    first, slash, _ = name.partition("/")
    return given_split(first if slash else first.split(".")[0])


def read(piece: Piece, reading: Reading) -> Iterator[Chunk | Problem]:
    """The piece's rows; of a file that cannot be read on, what is wrong, and then the next file's."""
    if piece.kind == "images":
        yield from image_files.read(piece, reading)
        return
    for part in piece.parts:
        try:
            yield from _READERS[piece.kind](part, reading)
        except BrokenError as error:
            yield error.problem
