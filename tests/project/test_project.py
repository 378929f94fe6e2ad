"""What the repository promises about itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fresh import requirements_now

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)


def _lines_ending_in(end: str) -> list[str]:
    return [line for line in README.splitlines() if line.rstrip().endswith(end)]


class TestReadme:
    @pytest.mark.parametrize("end", ["uv run skylift quickstart", "uv run pytest"])
    def test_one_line_does_all_the_set_up(self, end: str) -> None:
        (line,) = _lines_ending_in(end)
        assert "python3 -m venv" in line, "the line must work where the system's Python refuses pip install"
        assert "uv" in line.split("&&")[1]

    def test_gate_runs_the_line_for_the_tests(self) -> None:
        gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        assert re.search(r"grep .*uv run pytest\$' README\.md", gate)

    def test_every_file_it_links_to_exists(self) -> None:
        links = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
        assert links
        assert not [link for link in links if not (ROOT / link).exists()]


class TestGit:
    @pytest.mark.parametrize(
        ("path", "is_ignored"),
        [
            ("stacks/Pulumi.local.yaml", True),
            ("stacks/Pulumi.prod.yaml", True),
            ("stacks/Pulumi.example-local.yaml", False),
            (".skylift/passphrase", True),
            (".tools/bin/uv", True),
            ("skylift/store.py", False),
        ],
    )
    def test_users_own_files_are_ignored(self, path: str, is_ignored: bool) -> None:
        if _git("rev-parse", "--git-dir").returncode != 0:
            pytest.skip("this is no git checkout")
        assert (_git("check-ignore", "-q", "--no-index", path).returncode == 0) == is_ignored


class TestPackaging:
    def test_program_is_three_lines(self) -> None:
        lines = [line for line in (ROOT / "__main__.py").read_text().splitlines() if line.strip()]
        assert len(lines) == 3

    def test_locked_requirements_are_those_of_the_lock(self) -> None:
        assert (ROOT / "requirements" / "local.txt").read_text() == requirements_now(ROOT)

    def test_no_module_is_too_long(self) -> None:
        long = {
            str(path.relative_to(ROOT)): count
            for room in ("skylift", "infra", "training", "serving", "tests", "benchmarks")
            for path in (ROOT / room).rglob("*.py")
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > 500
        }
        assert long == {}
