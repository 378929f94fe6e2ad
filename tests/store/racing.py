"""Two processes that do the same to one store at the same moment. Run as a program it is one of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def race(verb: str, url: str, count: int) -> dict[str, list[str]]:
    """Let processes `a` and `b` go at once; what each of them won, by name."""
    racers = {name: _start(verb, url, count, name) for name in ("a", "b")}
    for racer in racers.values():
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers.values():
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = {}
    for name, racer in racers.items():
        output, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0, output
        won[name] = output.split()
    return won


def _start(verb: str, url: str, count: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.racing", verb, url, str(count), name]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main() -> None:
    from skylift.store import CHUNK, ObjectChangedError, ObjectExistsError, open_store

    verb, url, count, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    store = open_store(url)
    with tempfile.NamedTemporaryFile() as file:
        file.write(name.encode() * (CHUNK + 1))
        file.flush()
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(count):
            try:
                if verb == "create":
                    store.create(f"race/{number}", name.encode())
                elif verb == "upload":
                    store.upload(Path(file.name), f"race/{number}", create=True)
                else:
                    while True:
                        blob = store.get("counter")
                        try:
                            store.replace("counter", b"%06d" % (int(blob.data) + 1), blob.token)
                            break
                        except ObjectChangedError:
                            continue
                print(number)
            except ObjectExistsError:
                continue


if __name__ == "__main__":
    main()
