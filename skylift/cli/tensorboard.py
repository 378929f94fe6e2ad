from __future__ import annotations

from pathlib import Path

import click

from skylift.cli._options import common, complete_runs, open_stack, stack_option


@click.command("tensorboard", short_help="Show runs in TensorBoard.")
@click.argument("runs", metavar="RUN…", nargs=-1, required=True, shell_complete=complete_runs)
@stack_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=6006,
    show_default=True,
    help="Where to show them, on this machine only.",
)
@click.option(
    "--logdir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write TensorBoard's files into this folder and show nothing.",
)
@common
@click.pass_context
def command(
    ctx: click.Context, runs: tuple[str, ...], stack_flag: str | None, port: int, logdir: Path | None, as_json: bool
) -> None:
    """Show RUNs in TensorBoard and follow those that are at work, until Ctrl-C.

    With --json, which needs --logdir, say how many events were written.
    """
    import tempfile

    from skylift.cli import _render
    from skylift.client import boards

    if as_json and logdir is None:
        raise click.UsageError("--json needs --logdir: what is shown has nothing to say")
    stack = open_stack(ctx, stack_flag)
    if logdir is None:
        with tempfile.TemporaryDirectory(prefix="skylift-tensorboard-") as folder:
            ctx.exit(boards.show(stack, runs, Path(folder), port))
    written = boards.write(stack, runs, logdir)
    if as_json:
        _render.print_json(written)
        return
    click.echo(f"{written['events']} events written to {logdir}")
    _render.next_steps((f"tensorboard --logdir {logdir}", "shows them"))
