"""Starts the members of a group on this machine, waits for what the first one has measured, and leaves none behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from skylift.errors import InputError, MachineError, NotFoundError, RecipeError, SkyliftError
from training.cluster.description import Cluster
from training.scaling.records import Measured, Order

PATIENCE_SECONDS = 600.0
"""How long a group may take to start and compile, beside what it measures [s]."""

_POLL_SECONDS = 0.1
_ORPHANED = 75


def run_group(order: Order, workers: int) -> Measured:
    """Measure so many workers.

    Raises:
        InputError: what the members found wrong with what was asked.
        MachineError: a member ended without a word, or they take too long.
    """
    with tempfile.TemporaryDirectory(prefix="skylift-scaling-") as folder:
        file = Path(folder) / "order.json"
        file.write_bytes(msgspec.json.encode(order))
        with _started(file, workers) as members:
            _wait(members, time.monotonic() + PATIENCE_SECONDS + 3 * order.seconds)
        return msgspec.json.decode(_answer(Path(folder), 0).read_bytes(), type=Measured)


def member(file: Path, lifeline: int) -> str:
    """One member's part; what it prints."""
    from training.scaling.measuring import measure

    _die_with_parent(lifeline)
    return msgspec.json.encode(measure(msgspec.json.decode(file.read_bytes(), type=Order))).decode()


@contextmanager
def _started(file: Path, workers: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    theirs, ours = os.pipe()
    addresses = tuple(_free_addresses(workers))
    members: list[subprocess.Popen[bytes]] = []
    try:
        for index in range(workers):
            environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
            if workers > 1:
                environment["TF_CONFIG"] = Cluster(addresses, index).tf_config()
            command = [sys.executable, "-P", "-m", "training", "scaling", "--member", str(file), "--json"]
            with _answer(file.parent, index).open("wb") as out, _said(file.parent, index).open("wb") as said:
                members.append(
                    subprocess.Popen(
                        [*command, "--lifeline", str(theirs)],
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=said,
                        pass_fds=(theirs,),
                        process_group=0,
                    )
                )
        yield members
        _raise_failed(members, file.parent)
    finally:
        for each in members:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, 9)
            each.wait()
        os.close(theirs)
        os.close(ours)


def _wait(members: list[subprocess.Popen[bytes]], until: float) -> None:
    """Until all have ended, or one has failed: the others would wait for it."""
    while True:
        codes = [each.poll() for each in members]
        if all(code == 0 for code in codes):
            return
        if any(code not in (None, 0) for code in codes):
            time.sleep(5 * _POLL_SECONDS)  # whom another's end made fail has failed after it: let all say why
            return
        if time.monotonic() > until:
            raise MachineError(
                f"{len(members)} workers did not come to an end in time",
                hint="measure fewer workers, or a shorter time: `--seconds 2`",
            )
        time.sleep(_POLL_SECONDS)


def _raise_failed(members: list[subprocess.Popen[bytes]], folder: Path) -> None:
    failed = [index for index, each in enumerate(members) if each.poll() not in (None, 0)]
    for index in failed:
        error = _error(_answer(folder, index).read_text())
        if error is not None:
            raise error
    if failed:
        said = _said(folder, failed[0]).read_text(errors="replace").strip().splitlines()
        raise MachineError(
            f"worker {failed[0]} of {len(members)} ended with exit code {members[failed[0]].returncode}"
            + (f": {said[-1]}" if said else ""),
            hint="where memory ran out, measure fewer workers or smaller batches",
        )


def _error(printed: str) -> SkyliftError | None:
    try:
        said = json.loads(printed)["error"]
        known = {each.kind: each for each in (InputError, RecipeError, NotFoundError)}
        return known.get(said["kind"], MachineError)(said["message"], hint=said["hint"], details=said.get("details"))
    except (ValueError, KeyError, TypeError):
        return None


def _answer(folder: Path, index: int) -> Path:
    return folder / f"answer-{index}.json"


def _said(folder: Path, index: int) -> Path:
    return folder / f"said-{index}.txt"


def _free_addresses(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for each in probes:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in probes]
    finally:
        for each in probes:
            each.close()


def _die_with_parent(lifeline: int) -> None:
    os.set_inheritable(lifeline, False)

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(_ORPHANED)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
