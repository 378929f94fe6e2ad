from __future__ import annotations

import click

from skylift.cli._options import common, confirm, open_stack, stack_argument, yes_option


@click.command("up", short_help="Bring a stack to what its file says.")
@stack_argument
@yes_option
@common
@click.pass_context
def command(ctx: click.Context, stack_name: str | None, stack_flag: str | None, yes: bool, as_json: bool) -> None:
    """Bring STACK to what its file says: show what would change, ask, change it. What was removed or killed is made anew.

    On `local` this costs nothing and opens no port but on this machine's own loopback address. What a stack on a cloud costs at rest
    stands in docs/targets.md.
    """
    from skylift.cli import _engine, _render

    stack = open_stack(ctx, stack_name, stack_flag)
    if not yes:
        with _engine.steps(f"previewing {stack.name}", quiet=as_json, listed=False) as look:
            plan = stack.engine.preview(look)
        if plan.changed:
            _engine.planned(plan)
            confirm(f"Bring stack {stack.name} to this?", yes=yes)
    with _engine.steps(f"bringing {stack.name} up", quiet=as_json) as show:
        summary = stack.engine.up(show, previewed=not yes)
    if as_json:
        _render.print_json({**_engine.plain(summary), "outputs": stack.outputs})
        return
    click.echo(f"stack {stack.name}: {_engine.counted(summary)} in {summary.seconds:.1f} s")
    _render.fields(
        [
            ("keep", stack.outputs.buckets.keep),
            ("work", stack.outputs.buckets.work),
            *(
                (f"endpoint {name}", one.url or "waits for skylift:images.serving")
                for name, one in stack.outputs.endpoints.items()
            ),
        ]
    )
    if stack.outputs.target == "local":
        steps = [("skylift train mnist", "trains a model"), (f"skylift down {stack.name}", "takes the stack away")]
    else:
        steps = [
            (f"skylift permissions {stack.name} --as train", "prints what whoever trains must be allowed"),
            (f"skylift down {stack.name} --compute", "takes away all but the data"),
        ]
    _render.next_steps(*steps)
