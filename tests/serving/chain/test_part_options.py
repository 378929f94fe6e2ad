"""How servers of remote parts are named, and the key that they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.arguments import parse
from serving.backends import part_key
from skylift.errors import InputError

SOURCE = ("--endpoint", "file:///x/endpoints/a")


class TestOptions:
    def test_each_part_has_its_addresses(self) -> None:
        options = parse([*SOURCE, "--part", "2=http://a:1,http://b:2", "--part=3=https://c"])
        assert options.parts == {2: "http://a:1,http://b:2", 3: "https://c"}

    @pytest.mark.parametrize("given", ["2", "0=http://a", "x=http://a", "2=", "-1=http://a"])
    def test_what_is_no_part(self, given: str) -> None:
        with pytest.raises(InputError, match="is not N=URL"):
            parse([*SOURCE, f"--part={given}"])

    def test_every_wrong_address_is_named_at_once(self) -> None:
        with pytest.raises(InputError) as wrong:
            parse([*SOURCE, "--part=1=http://a,ftp://b", "--part=2=host:1", "--part=2=http://u:secret@h"])
        for said in ("part 1: 'ftp://b' is no address", "part 2: 'host:1'", "--part 2 is given twice"):
            assert said in wrong.value.message
        assert "secret" not in wrong.value.message

    def test_a_key_without_parts_is_a_mistake(self) -> None:
        with pytest.raises(InputError, match="--part-key-file"):
            parse([*SOURCE, "--part-key-file", "k"])


class TestKey:
    def test_of_a_file_that_changes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "key"
        path.write_text("one\n")
        headers = part_key.headers_of(str(path))
        assert headers() == {"Authorization": "Bearer one"}
        path.write_text("two")
        monkeypatch.setattr(part_key, "LOOK_SECONDS", -1.0)
        assert headers() == {"Authorization": "Bearer two"}
        path.unlink()
        assert headers() == {"Authorization": "Bearer two"}, "the last one holds while there is none"

    def test_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(part_key.VARIABLE, "k")
        assert part_key.headers_of("")() == {"Authorization": "Bearer k"}
        monkeypatch.delenv(part_key.VARIABLE)
        assert part_key.headers_of("")() == {}

    @pytest.mark.parametrize("text", ["", "a b", "a\nb", "sch\N{LATIN SMALL LETTER O WITH DIAERESIS}n"])
    def test_what_is_no_key_is_refused_and_not_told(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "key"
        path.write_text(text)
        with pytest.raises(InputError, match="key") as wrong:
            part_key.headers_of(str(path))
        assert not text or text not in wrong.value.message
