from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import common, complete_models, confirm, open_stack, stack_option, yes_option

if TYPE_CHECKING:
    from skylift.artifacts.records import FormatName, ModelManifest
    from skylift.store import Store


@click.group("models", short_help="List, show, add, export and remove models.", invoke_without_command=True)
@stack_option
@common
@click.pass_context
def command(ctx: click.Context, stack_flag: str | None, as_json: bool) -> None:
    """List, show, add, export and remove models. Without a command: list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, stack_flag=stack_flag, as_json=as_json)
    elif stack_flag is not None:
        raise click.UsageError(
            f"put --stack behind the command: skylift models {ctx.invoked_subcommand} --stack {stack_flag}"
        )


@command.command("list")
@stack_option
@common
@click.pass_context
def list_command(ctx: click.Context, stack_flag: str | None, as_json: bool) -> None:
    """List models with their newest version."""
    from skylift.artifacts import models
    from skylift.cli import _render

    stack = open_stack(ctx, stack_flag)
    found = [one for name in models.list_models(stack.keep) if (one := _listed(stack.keep, name)) is not None]
    if as_json:
        _render.print_json(found)
        return
    rows = [
        (
            one["name"],
            one["newest"],
            len(one["versions"]),
            _render.metrics(one["metrics"], _render.IN_A_LINE),
            ", ".join(one["formats"]),
            _render.size(one["bytes"]),
            _render.ago(one["created"]),
        )
        for one in found
    ]
    columns = ["model", ">newest", ">versions", "~test", "~formats", ">size", ">made"]
    _render.table(columns, rows, empty="no models yet: `skylift train mnist` or `skylift models add NAME PATH`")


def _listed(keep: Store, name: str) -> dict[str, Any] | None:
    """What a listing says of a model; None while its first version is being published."""
    from skylift.artifacts import models

    versions = models.list_versions(keep, name)
    newest = max(versions, key=lambda one: one.version, default=None)
    if newest is None:
        return None
    manifest = models.read_manifest(keep, models.resolve(keep, f"{name}:{newest.version}"))
    return {
        "name": name,
        "newest": newest.version,
        "versions": sorted(one.version for one in versions),
        "metrics": manifest.metrics,
        "formats": list(manifest.formats),
        "bytes": sum(file.size for file in manifest.files),
        "created": newest.created,
    }


@command.command("show")
@click.argument("model", metavar="MODEL[:VERSION]", shell_complete=complete_models)
@stack_option
@common
@click.pass_context
def show(ctx: click.Context, model: str, stack_flag: str | None, as_json: bool) -> None:
    """Show one version (default: the newest): what it takes, what it gives, how good it is, how it was made."""
    from skylift.artifacts import models
    from skylift.cli import _render

    stack = open_stack(ctx, stack_flag)
    ref = models.resolve(stack.keep, model)
    manifest = models.read_manifest(stack.keep, ref)
    versions = models.list_versions(stack.keep, ref.name)
    if as_json:
        _render.print_json({"ref": ref, "manifest": manifest, "versions": versions})
        return
    task = manifest.task
    _render.fields(
        [
            ("model", f"{ref.name}:{ref.version}"),
            ("digest", ref.digest),
            (
                "task",
                task.kind
                + (f" of {', '.join(task.labels)}" if task.labels else "")
                + (f" in {task.unit}" if task.unit else ""),
            ),
            ("test", _render.metrics(manifest.metrics)),
            ("made", f"{manifest.created:%Y-%m-%d %H:%M:%S} UTC by {manifest.by}"),
            ("run", manifest.run),
            ("recipe", manifest.recipe),
            ("data", manifest.dataset),
            ("optimised", _optimized(manifest)),
            ("versions", ", ".join(str(one.version) for one in versions)),
        ]
    )
    _render.heading("Signature")
    signature = manifest.signature
    tensors = [("input", spec) for spec in signature.inputs] + [("output", spec) for spec in signature.outputs]
    _render.table(
        ["", "name", "type", "shape"], [(way, spec.name, spec.dtype, _shape(spec.shape)) for way, spec in tensors]
    )
    _render.heading("Formats")
    rows = [
        (
            name,
            form.path,
            f"{form.parity.max_abs_difference:.1e} over {form.parity.rows} rows" if form.parity else "",
            "" if form.parity is None else ("yes" if form.parity.holds else "no"),
        )
        for name, form in manifest.formats.items()
    ]
    _render.table(["format", "path", "differs from the model by", "holds"], rows)


def _optimized(manifest: ModelManifest) -> str | None:
    done = manifest.optimized
    if done is None:
        return None
    return f"by {done.method} from {done.of.name}:{done.of.version}, {done.metric} loss {done.loss:.4g} (allowed: {done.max_loss:g})"


def _shape(sizes: list[int | None]) -> str:
    named = ("rows" if at == 0 else "any" if size is None else str(size) for at, size in enumerate(sizes))
    return f"[{', '.join(named)}]"


@command.command("add")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--labels", help="Names of the classes in order, with commas between: the model is a classifier.")
@click.option("--unit", default="", help="The unit of the value: the model is a regression.")
@click.option("--image", is_flag=True, help="The input is an image.")
@stack_option
@common
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    path: Path,
    labels: str | None,
    unit: str,
    image: bool,
    stack_flag: str | None,
    as_json: bool,
) -> None:
    """Add an existing model as the next version of NAME.

    PATH is a Keras file (.keras, .h5), a SavedModel folder or an ONNX file. Keras and SavedModel are also exported to ONNX, and every
    form is loaded again and compared before it counts.
    """
    from skylift.cli import _progress, _render
    from skylift.client import importing

    stack = open_stack(ctx, stack_flag)
    meaning = importing.Meaning(labels=tuple(labels.split(",")) if labels else (), unit=unit, is_image=image)
    notes: list[str] = []
    with _progress.spinner(f"reading {path} and comparing its forms", quiet=as_json):
        published = importing.add(stack, name, path, meaning, tell=notes.append)
    if as_json:
        _render.print_json(published)
        return
    click.echo(f"{published.name}:{published.version} ({published.digest[:12]}) is published")
    for note in notes:
        click.echo(note)
    _render.next_steps(
        (f"skylift deploy {published.name}:{published.version}", "lets the endpoint answer with it"),
        (f"skylift models show {published.name}", "shows what it takes and gives"),
    )


@command.command("export")
@click.argument("model", metavar="MODEL[:VERSION]", shell_complete=complete_models)
@click.option(
    "--format",
    "form",
    type=click.Choice(["saved_model", "keras", "onnx", "h5", "tflite"]),
    required=True,
    help="The form to write.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, or the folder of a SavedModel. What is there already is left alone.",
)
@stack_option
@common
@click.pass_context
def export(ctx: click.Context, model: str, form: FormatName, out: Path, stack_flag: str | None, as_json: bool) -> None:
    """Write one form of a version (default: the newest) to a file.

    A form that the version was not published in is made on this machine, loaded by its own runtime and compared with the model; the
    file is there only if it computes the same.
    """
    from skylift.cli import _progress, _render
    from skylift.client import exporting

    stack = open_stack(ctx, stack_flag)
    with _progress.spinner(f"writing {out}", quiet=as_json):
        made = exporting.export(stack, model, form, out)
    if as_json:
        _render.print_json(made)
        return
    click.echo(f"{out}: {made.model} as {made.format}, {_render.size(made.bytes)}")
    if made.form.parity is not None:
        parity = made.form.parity
        click.echo(
            f"differs from the model by {parity.max_abs_difference:.1e} over {parity.rows} rows (allowed: {parity.tolerance:.1e})"
        )


@command.command("remove")
@click.argument("model", metavar="MODEL:VERSION", shell_complete=complete_models)
@stack_option
@yes_option
@common
@click.pass_context
def remove(ctx: click.Context, model: str, stack_flag: str | None, yes: bool, as_json: bool) -> None:
    """Remove one version. What an endpoint serves is refused."""
    from skylift.artifacts import models
    from skylift.cli import _render

    if ":" not in model and "@" not in model:
        raise click.UsageError(f"name the version: {model}:1 (`skylift models show {model}` lists them)")
    stack = open_stack(ctx, stack_flag)
    ref = models.resolve(stack.keep, model)
    manifest = models.read_manifest(stack.keep, ref)
    total = sum(file.size for file in manifest.files)
    confirm(f"Remove {ref.name}:{ref.version}, {len(manifest.files)} files, {_render.size(total)}?", yes=yes)
    models.remove_version(stack.keep, ref)
    if as_json:
        _render.print_json({"removed": ref, "bytes": total})
        return
    click.echo(f"{ref.name}:{ref.version} is removed, {_render.size(total)} freed")
