"""`skylift keys`: what a person types, and what is in the file then."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skylift.artifacts import access
from skylift.client import keys
from skylift.errors import InputError

FILE = "access.json"


def _document():
    return access.decode(Path(FILE).read_bytes(), FILE)


def test_a_token_is_printed_alone_and_only_its_hash_is_kept(skylift, empty):
    ended = skylift("keys", "add", "shop", "--model", "mnist*", "--verb", "predict", "--rate", "10", "--burst", "20")
    assert ended.code == 0
    token = ended.out.splitlines()[0]
    assert re.fullmatch(r"skylift_[A-Za-z0-9_-]{43}", token) and ended.out.strip() == token
    assert "shown once" in ended.err and token not in ended.err
    assert token[8:] not in Path(FILE).read_text()
    document = _document()
    (key,) = document.keys
    assert key.sha256 == access.hash_token(document.salt, token)
    assert (key.name, key.models, key.verbs, key.rate, key.burst) == ("shop", ("mnist*",), ("predict",), 10.0, 20)
    assert [one.name for one in empty.iterdir()] == [FILE]


def test_tokens_are_random_and_salts_differ(skylift, empty):
    made = [skylift("keys", "add", "a", "--json", "--file", f"{n}.json").document for n in range(3)]
    assert len({one["token"] for one in made}) == 3
    assert len({access.decode(Path(f"{n}.json").read_bytes(), "").salt for n in range(3)}) == 3


def test_a_key_is_listed_without_its_hash_and_revoked_by_its_id(skylift, empty):
    first, second = (skylift("keys", "add", "shop", "--json").document["key"]["id"] for _ in range(2))
    shown = skylift("keys", "list")
    assert first in shown.out and "shop" in shown.out
    listed = skylift("keys", "list", "--json").document
    assert [one["id"] for one in listed] == [first, second] and all("sha256" not in one for one in listed)
    several = skylift("keys", "revoke", "shop", "--yes")
    assert several.code == 3 and first in several.err and second in several.err
    assert skylift("keys", "revoke", first, "--yes").code == 0
    assert skylift("keys", "revoke", "shop", "--yes", "--json").document["revoked"]["id"] == second
    assert _document().keys == ()
    assert "no keys yet" in skylift("keys", "list").out


def test_nothing_is_revoked_unasked(skylift, empty):
    skylift("keys", "add", "shop")
    ended = skylift("keys", "revoke", "shop")
    assert ended.code == 2 and "--yes" in ended.err
    assert len(_document().keys) == 1


def test_what_is_not_there_is_told_with_what_is(skylift, empty):
    for arguments in (["list"], ["revoke", "x", "--yes"]):
        ended = skylift("keys", *arguments)
        assert ended.code == 4 and "keys add" in ended.err
    skylift("keys", "add", "shop")
    missed = skylift("keys", "revoke", "shp", "--yes")
    assert missed.code == 4 and "did you mean 'shop'" in missed.err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--rate", "0"],
        ["--rate", "-1"],
        ["--burst", "5"],
        ["--burst", "0", "--rate", "1"],
        ["--model", ""],
        ["--expires", "tomorrow"],
        ["--expires", "2001-01-01"],
    ],
)
def test_what_a_key_cannot_have_is_refused_before_anything_is_written(skylift, empty, wrong):
    ended = skylift("keys", "add", "shop", *wrong)
    assert ended.code == 3 and "Fix:" in ended.err
    assert not Path(FILE).exists()


def test_a_file_with_mistakes_is_left_alone_and_all_are_told(skylift, empty):
    skylift("keys", "add", "shop")
    broken = json.loads(Path(FILE).read_text())
    broken["keys"][0]["modles"] = ["mnist"]
    broken["issuers"] = [{"issuer": "http://example.org", "audiences": ["a"], "grants": [{}]}]
    Path(FILE).write_text(json.dumps(broken))
    before = Path(FILE).read_bytes()
    ended = skylift("keys", "add", "other")
    assert ended.code == 3
    assert "modles" in ended.err and "not https" in ended.err and "2 mistakes" in ended.err
    assert Path(FILE).read_bytes() == before


def test_what_others_wrote_and_the_rights_of_the_file_stay(skylift, empty):
    skylift("keys", "add", "shop")
    plain = json.loads(Path(FILE).read_text())
    plain["issuers"] = [{"issuer": "https://example.org", "audiences": ["a"], "grants": [{"scope": "predict"}]}]
    Path(FILE).write_text(json.dumps(plain))
    Path(FILE).chmod(0o640)
    Path("link.json").symlink_to(FILE)
    assert skylift("keys", "add", "other", "--file", "link.json").code == 0
    assert _document().issuers[0].issuer == "https://example.org" and len(_document().keys) == 2
    assert stat.S_IMODE(Path(FILE).stat().st_mode) == 0o640
    assert Path("link.json").is_symlink()


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("12h", "2026-11-01T12:00:00+00:00"),
        ("90d", "2027-01-30T00:00:00+00:00"),
        ("52w", "2027-10-31T00:00:00+00:00"),
        ("2027-01-31", "2027-01-31T00:00:00+00:00"),
        ("2027-01-31T10:00:00+02:00", "2027-01-31T10:00:00+02:00"),
    ],
)
def test_an_end_is_a_time_from_now_or_a_date(text, until):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    assert keys.moment(text, now).isoformat() == until


@pytest.mark.parametrize("text", ["", "90", "0d", "-1d", "123456w", "2026-13-01", "1 d"])
def test_what_is_no_end_is_refused(text):
    with pytest.raises(InputError):
        keys.moment(text, datetime(2026, 11, 1, tzinfo=UTC))
