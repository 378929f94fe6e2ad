from __future__ import annotations

import sys

import click

from skylift.cli._options import common, complete_runs, open_stack, stack_option


@click.command("logs", short_help="Print a run's output.")
@click.argument("run_name", metavar="[RUN]", default="last", shell_complete=complete_runs)
@stack_option
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the run ends.")
@common
@click.pass_context
def command(ctx: click.Context, run_name: str, stack_flag: str | None, follow: bool, as_json: bool) -> None:
    """Print what RUN (default: the last one) has printed. Secrets are masked.

    With --follow it prints on until the run ends, and leaves with the code that `train` would.
    """
    import time

    from skylift.artifacts import chunks, layout, records
    from skylift.cli import _render
    from skylift.client import training

    stack = open_stack(ctx, stack_flag)
    run = stack.run(run_name)
    if as_json:
        _render.print_json({"run": run.id, "log": run.logs().decode(errors="replace")})
        return
    out = sys.stdout.buffer
    reader = chunks.ChunkReader(stack.work, layout.logs(run.id))
    while True:
        view = run.view() if follow else None
        # Looked at before reading: what was written up to the end is in what is read behind it.
        ended = view is None or view.result is not None or view.state in ("lost", "preempted", *records.FINAL)
        out.write(reader.read())
        out.flush()
        if ended:
            break
        time.sleep(training.POLL if stack.work.folder is not None else 2.0)
    if follow:
        training.ended(run)
