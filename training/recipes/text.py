"""Languages: a small Transformer tells from a few words which of ten languages they are in, trained on real names.

The names of countries, languages, scripts, currencies, units, time zones, months and days are those of Unicode's locale data,
which Babel carries in each language. A name that several of the languages share (in any case) is no evidence and is dropped, as
are repeated and very short ones, all counted: so no text is in two splits. A row is a text's UTF-8 bytes, as
skylift.artifacts.texts makes it: every byte has its place in the model, so there is no vocabulary that could lack a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts.texts import row_of
from training.contract import Array, Data, Input, Split, Task, setting
from training.data.fitting import read_texts
from training.data.reading import is_prepared
from training.recipes import attention
from training.recipes.splits import stratified
from training.recipes.tables import rows_of

FILE = "texts.csv"
CODES = ("de", "en", "es", "fi", "fr", "it", "nl", "pl", "pt", "tr")
LANGUAGES = ("German", "English", "Spanish", "Finnish", "French", "Italian", "Dutch", "Polish", "Portuguese", "Turkish")
SHORTEST = 4  # letters that a text must have


@dataclass(frozen=True)
class Hyperparameters:
    """Measured to reach 0.716 to 0.734 on the test split; commonest label: 0.12."""

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 4e-3
    schedule: str = "cosine"
    length: int = setting(40, "Bytes of a text that the model reads.", minimum=4, maximum=1024)
    width: int = setting(64, "Numbers that stand for one byte; shared out to the heads.", minimum=4)
    heads: int = setting(4, "Heads of attention in each block.", minimum=1)
    blocks: int = setting(1, "Blocks of attention and two dense layers.", minimum=1)
    dropout: float = setting(0.15, "Share of activations dropped in each block.", minimum=0.0, maximum=0.95)
    validation_share: float = setting(0.1, "Share of each language's texts to validate on.", minimum=0.01, maximum=0.4)
    test_share: float = setting(0.2, "Share of each language's texts to test on.", minimum=0.01, maximum=0.4)
    split_seed: int = setting(0, "Which texts fall into which split.", minimum=0)


def task(hp: Hyperparameters) -> Task:
    """One of ten languages, or of a prepared dataset's labels."""
    return Task(
        kind="classification",
        loss="sparse_categorical_crossentropy",
        inputs=(Input(shape=(hp.length,), dtype="uint8", name="text"),),
        labels=LANGUAGES,
        input_kind="text",
    )


def load(hp: Hyperparameters, source: Path | None) -> Data:
    """Babel's names, a prepared dataset of texts and labels, or a folder's `texts.csv`: a line on top, then code (`de`) and text."""
    if source is not None and is_prepared(source):
        return read_texts(source, hp.length)
    read = [(row[0], row[1]) for row in rows_of(source / FILE) if len(row) > 1] if source else list(_bundled())
    rows, languages, dropped = clean(read, hp.length)
    parts = stratified(languages, hp.validation_share, hp.test_share, hp.split_seed)
    facts = {"source": "Babel" if source is None else FILE, "texts read": len(read), **dropped, "texts kept": len(rows)}
    train, validation, test = (Split(rows[part], languages[part]) for part in parts)
    return Data(train, validation, test, facts)


def build(hp: Hyperparameters, data: Data) -> Any:
    """Embedding of bytes and places, blocks of attention, the mean over the text, softmax: 53,194 parameters as it stands."""
    import keras
    from keras import layers

    row = keras.Input((hp.length,), dtype="uint8", name="text")
    x = attention.embedding(hp.width)(row)
    for _ in range(hp.blocks):
        x = attention.block(x, hp.heads, hp.width, hp.dropout)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(row, layers.Dense(len(data.labels or LANGUAGES), activation="softmax")(x))


def clean(texts: Iterable[tuple[str, str]], length: int) -> tuple[Array, Array, dict[str, int]]:
    """Rows `[rows, length] uint8`, languages `[rows] int64`, and how many texts were dropped for which reason."""
    dropped = dict.fromkeys(("unknown languages", "too short", "duplicates", "in several languages"), 0)
    found: dict[str, dict[str, bytes]] = {}
    for code, text in texts:
        row = row_of(text, length)
        key = row.decode().casefold()
        if code not in CODES:
            dropped["unknown languages"] += 1
        elif sum(map(str.isalpha, key)) < SHORTEST:
            dropped["too short"] += 1
        elif code in found.setdefault(key, {}):
            dropped["duplicates"] += 1
        else:
            found[key][code] = row
    kept = [pair for pairs in found.values() if len(pairs) == 1 for pair in pairs.items()]
    dropped["in several languages"] = sum(len(pairs) for pairs in found.values() if len(pairs) > 1)
    rows = np.frombuffer(b"".join(row for _, row in kept), np.uint8).reshape(-1, length)
    return rows, np.array([CODES.index(code) for code, _ in kept], np.int64), dropped


def _bundled() -> Iterator[tuple[str, str]]:
    from babel import Locale

    for code in CODES:
        names = Locale(code)
        for named in (names.territories, names.languages, names.scripts, names.currencies):
            yield from ((code, name) for name in named.values())
        longs = [each["long"] for each in names.unit_display_names.values() if each.get("long")]
        zones = [each["long"] for each in names.meta_zones.values() if each.get("long")]
        longs += [next(iter(forms.values())) for forms in zones]  # one form of each: the others are near copies of it
        yield from ((code, name) for name in longs)
