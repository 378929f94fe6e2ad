from __future__ import annotations

import click

from skylift.cli._options import common, open_stack, stack_argument


@click.command("env", short_help="Print a shell's settings so that plain `pulumi` works on a stack.")
@stack_argument
@click.option(
    "--shell", type=click.Choice(["sh", "fish"]), default="sh", show_default=True, help="sh fits bash and zsh."
)
@common
@click.pass_context
def command(ctx: click.Context, stack_name: str | None, stack_flag: str | None, shell: str, as_json: bool) -> None:
    """Print what a shell needs so that plain `pulumi up` works on STACK with the same engine, state and passphrase:

    \b
        eval "$(skylift env local)"
        pulumi up --stack local
    """
    import shlex

    from skylift.cli import _render
    from skylift.engine import environment

    stack = open_stack(ctx, stack_name, stack_flag)
    # The engine is made here if need be, with its progress on standard error: standard output is for the shell.
    variables = environment(stack.project, stack.name, tool=stack.tool)
    if as_json:
        _render.print_json(variables)
        return
    for name, value in variables.items():
        click.echo(
            f"set -gx {name} {shlex.quote(value)};" if shell == "fish" else f"export {name}={shlex.quote(value)}"
        )
