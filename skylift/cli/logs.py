from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, complete_runs, open_stack, stack_option

if TYPE_CHECKING:
    from skylift.client import Run


@click.command("logs", short_help="Print a run's output.")
@click.argument("run_name", metavar="[RUN]", default="last", shell_complete=complete_runs)
@stack_option
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the run ends.")
@click.option(
    "--worker",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Whose output, of a run with several processes; parameter servers have the last numbers.",
)
@common
@click.pass_context
def command(
    ctx: click.Context, run_name: str, stack_flag: str | None, follow: bool, worker: int, as_json: bool
) -> None:
    """Print what RUN (default: the last one) has printed. Secrets are masked.

    With --follow it prints on until the run ends, and leaves with the code that `train` would. Ctrl-C stops the printing, not the run.
    """
    from skylift.cli import _follow, _render

    run = open_stack(ctx, stack_flag).run(run_name)
    _check_worker(run, worker)
    try:
        if not as_json:
            _print(run, worker, follow=follow)
        elif follow:
            for _ in run.follow():
                pass
    except KeyboardInterrupt:
        if not follow:
            raise
        raise _follow.left_alone(run) from None
    if as_json:
        _render.print_json({"run": run.id, "state": run.view().state, "log": run.logs(worker).decode(errors="replace")})
    if follow:
        _ended(run, as_json=as_json)


def _check_worker(run: Run, worker: int) -> None:
    from skylift.errors import InputError

    count = run.view().spec.members
    if worker >= count:
        has = "one worker, number 0" if count == 1 else f"{count} processes, numbers 0 to {count - 1}"
        raise InputError(f"run {run.id} has {has}; there is no number {worker}", hint="leave out --worker")


def _print(run: Run, worker: int, *, follow: bool) -> None:
    import time

    from skylift.artifacts import chunks, layout, records
    from skylift.client import training

    work = run.stack.work
    reader = chunks.ChunkReader(work, layout.logs(run.id, worker))
    while True:
        view = run.view() if follow else None
        # Looked at before reading: what was written up to the end is in what is read behind it.
        ended = view is None or view.result is not None or view.state in ("lost", "preempted", *records.FINAL)
        ended = ended or (view is not None and training.is_dead(view))
        sys.stdout.buffer.write(reader.read())
        sys.stdout.buffer.flush()
        if ended:
            return
        time.sleep(training.POLL if work.folder is not None else 2.0)


def _ended(run: Run, *, as_json: bool) -> None:
    """Leave with the code of how the run ended; with `--json` without a second document."""
    from skylift.client import training
    from skylift.errors import SkyliftError

    try:
        training.ended(run)
    except SkyliftError as error:
        if as_json:
            raise click.exceptions.Exit(error.exit_code) from None
        raise
