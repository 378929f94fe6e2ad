"""Two processes that do the same to the buckets at the same moment. Run as a program it is one of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]


def race(verb: str, urls: str, count: int) -> dict[str, list[str]]:
    """Let processes `a` and `b` go at once; the words that each printed, by name."""
    racers = {name: _start(verb, urls, count, name) for name in ("a", "b")}
    for racer in racers.values():
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers.values():
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = {}
    for name, racer in racers.items():
        output, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0, output
        said[name] = output.split()
    return said


def _start(verb: str, urls: str, count: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.artifacts.racing", verb, str(count), name, *urls.split()]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main() -> None:
    from skylift.artifacts import datasets, endpoints, index, models, runs
    from skylift.artifacts.records import Failure, ModelManifest, RunResult, Signature, now
    from skylift.errors import ConflictError
    from skylift.store import open_store

    verb, count, name, *urls = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
    keep = open_store(urls[0])
    wanted = models.resolve(keep, "mnist") if verb == "deploy" else None
    folder = Path(tempfile.mkdtemp())
    print("ready", flush=True)
    sys.stdin.readline()
    if verb == "index":
        print(runs.write_index(keep, open_store(urls[1]), page_size=count, margin=index.MARGIN))
        return
    if verb == "fetch":
        datasets.fetch(keep, "digits", Path(unquote(urlsplit(urls[1]).path)))
        print("fetched")
        return
    for number in range(count):
        if verb == "result":
            run_id = f"20260301t000000-{number:06x}"
            why = Failure(kind="test", message=name)
            ended = RunResult(id=run_id, state="failed", started=now(), ended=now(), failure=why)
            try:
                runs.write_result(keep, ended)
                print(run_id)
            except ConflictError:
                continue
        elif verb == "publish":
            (folder / "weights").write_text(f"{name} {number}")
            empty = Signature(inputs=[], outputs=[])
            made = ModelManifest(name="", created=now(), by=name, signature=empty, formats={}, files=[])
            print(models.publish(keep, "mnist", folder, made).version)
        elif wanted is not None:
            print(endpoints.deploy(keep, "digits", wanted, by=name).number)


if __name__ == "__main__":
    main()
