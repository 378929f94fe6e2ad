"""What fuzzing found in bodies."""

from __future__ import annotations

import tracemalloc

import pytest

from benchmarks.fuzzing_parts.parsing import signature
from serving.http.json_in import BadRequestError
from serving.http.v2_request import Decoder
from serving.media import csv
from serving.media.facts import VersionFacts


@pytest.mark.parametrize("size", [200_000_000, 2**53])
def test_a_size_that_a_client_only_claims_takes_no_memory(size: int) -> None:
    decoder = Decoder(signature(("a", "int32", None)))
    body = b'{"inputs": [{"name": "a", "datatype": "INT32", "shape": [%d], "data": [[1]]}]}' % size
    tracemalloc.start()
    with pytest.raises(BadRequestError, match=f"asks for a list of {size}"):
        decoder.decode(body)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1_000_000


def test_an_empty_text_in_a_table_is_a_row() -> None:
    facts = VersionFacts(signature(("x", "string", (None,))))
    assert csv.decode(b'a\n""\n\nb\n', facts, {"header": "absent"})["x"].tolist() == [b"a", b"", b"b"]
