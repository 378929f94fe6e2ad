from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from skylift.cli._options import _quietly, common, confirm, open_stack, stack_option, yes_option

if TYPE_CHECKING:
    from skylift.artifacts.datasets import Use

TYPES = ("number", "category", "text")


def complete_datasets(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    def names() -> list[str]:
        from skylift.artifacts import datasets

        return datasets.list_datasets(open_stack(ctx, None).keep)

    return _quietly(names, incomplete)


@click.group("data", short_help="Prepare, list, show and remove datasets.", invoke_without_command=True)
@stack_option
@common
@click.pass_context
def command(ctx: click.Context, stack_flag: str | None, as_json: bool) -> None:
    """Prepare, list, show and remove datasets. Without a command: list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, stack_flag=stack_flag, as_json=as_json)
    elif stack_flag is not None:
        raise click.UsageError(
            f"put --stack behind the command: skylift data {ctx.invoked_subcommand} --stack {stack_flag}"
        )


@command.command("list")
@stack_option
@common
@click.pass_context
def list_command(ctx: click.Context, stack_flag: str | None, as_json: bool) -> None:
    """List datasets with their newest version, and what was trained on them."""
    from skylift.cli import _render
    from skylift.client import data

    found = data.listed(open_stack(ctx, stack_flag))
    if as_json:
        _render.print_json(
            [
                {
                    "name": one.name,
                    "newest": one.newest.ref,
                    "versions": [version.digest for version in one.versions],
                    "rows": one.newest.manifest.rows,
                    "bytes": one.newest.bytes,
                    "facts": one.newest.manifest.facts,
                    "modified": one.newest.modified,
                    "used_by": one.used_by,
                }
                for one in found
            ]
        )
        return
    rows = [
        (
            one.name,
            one.newest.digest[:12],
            len(one.versions),
            one.newest.manifest.rows,
            one.newest.manifest.facts.get("task", ""),
            _render.size(one.newest.bytes),
            _render.ago(one.newest.modified),
            _models(one.used_by),
        )
        for one in found
    ]
    columns = ["dataset", "newest", ">versions", ">rows", "task", ">size", ">made", "~used by"]
    _render.table(columns, rows, empty="no datasets yet: `skylift data add NAME PATH`")


def _models(uses: list[Use]) -> str:
    """Models with the versions that were trained on it, deployed ones marked."""
    shown = [
        f"{use.model}:{use.version}" + (f" (on {', '.join(use.endpoints)})" if use.endpoints else "") for use in uses
    ]
    return ", ".join(shown[-5:]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


@command.command("show")
@click.argument("name", metavar="NAME[@DIGEST]", shell_complete=complete_datasets)
@click.option("--profile", type=click.Path(path_type=Path, dir_okay=False), help="Write its profile to this HTML file.")
@stack_option
@common
@click.pass_context
def show(ctx: click.Context, name: str, profile: Path | None, stack_flag: str | None, as_json: bool) -> None:
    """Show one version (default: the newest): its columns, its splits, what was cleaned, and where its profile is."""
    from skylift.cli import _render
    from skylift.client import data

    stack = open_stack(ctx, stack_flag)
    shown = data.show(stack, name)
    if profile is not None:
        data.fetch_profile(stack, name, profile)
    if as_json:
        _render.print_json(shown)
        return
    known = shown.description
    versions = [version.digest[:12] for version in shown.versions]
    _render.fields(
        [
            ("dataset", shown.ref),
            ("source", known["source"] if known else "a folder that was sent as it is"),
            ("task", _task(known) if known else None),
            ("rows", shown.manifest.rows),
            ("files", f"{len(shown.manifest.files)}, {_render.size(sum(file.size for file in shown.manifest.files))}"),
            ("profile", str(profile) if profile else shown.profile),
            ("versions", ", ".join(versions)),
            ("used by", _models(shown.used_by)),
        ]
    )
    if known:
        _described(known)
    _render.next_steps((f"skylift train RECIPE --data {shown.ref.partition('@')[0]}", "trains on its newest version"))


@command.command("drift")
@click.argument("name", metavar="NAME[@DIGEST]", shell_complete=complete_datasets)
@click.argument("reference", metavar="[REFERENCE]", required=False, shell_complete=complete_datasets)
@stack_option
@common
@click.pass_context
def drift(ctx: click.Context, name: str, reference: str | None, stack_flag: str | None, as_json: bool) -> None:
    """Show how far a version's training rows lie from REFERENCE's (default: the version before), column by column.

    A column has drifted where its population stability index is 0.2 or more, and more than chance gives for so few rows.
    """
    from skylift.cli import _render
    from skylift.client import data

    stack = open_stack(ctx, stack_flag)
    before, now = data.drift_pair(stack, name, reference)
    shifts = data.drift(stack, before, now)
    if as_json:
        _render.print_json({"reference": before, "dataset": now, "columns": shifts})
        return
    _render.table(
        ["column", "compared", ">PSI", ">limit", "drifted"],
        [
            (each.column, each.measure, f"{each.psi:.3f}", f"{each.limit:.3f}", "yes" if each.has_moved else "no")
            for each in shifts
        ],
        empty="",
    )
    click.echo(f"\n{now} against {before}")
    _render.next_steps((f"skylift train RECIPE --data {name} --if-drifted", "trains where a column has drifted"))


def _task(known: dict[str, Any]) -> str:
    target = known["target"]
    labels = target["labels"]
    said = f" ({', '.join(labels[:10])}{' …' if len(labels) > 10 else ''})" if labels else ""
    return f"{target['task']} of {target['name']}{said}"


def _described(known: dict[str, Any]) -> None:
    from skylift.cli import _render

    _render.heading("Splits")
    _render.table(
        ["split", ">rows", ">shards", "~rows by label"],
        [
            (name, split["rows"], len(split["shards"]), ", ".join(map(str, split["classes"][:20])))
            for name, split in known["splits"].items()
        ],
    )
    _render.heading("Columns")
    cleaned = {each["column"]: each for each in known["cleaning"]["columns"]}
    rows = []
    for column in [*known["columns"], {"name": known["target"]["name"], "kind": "target"}]:
        did = cleaned.get(column["name"], {})
        shape = " × ".join(map(str, column.get("shape", [])))
        rows.append(
            (
                column["name"],
                f"{column['kind']} {shape}".strip(),
                *(did.get(each) or "" for each in ("missing", "wrong", "outliers")),
                did.get("did", ""),
            )
        )
    _render.table(["column", "kind", ">missing", ">wrong type", ">outliers", "~what was done"], rows)
    _cleaning(known["cleaning"])


def _cleaning(cleaning: dict[str, Any]) -> None:
    from skylift.cli import _render

    _render.heading("Rows")
    contradicting = f"; {cleaning['contradicting']} with another target" if cleaning["contradicting"] else ""
    kept = cleaning["duplicates"] - cleaning["duplicates_dropped"]
    _render.fields(
        [
            ("read", cleaning["rows_read"]),
            ("copies", f"{cleaning['duplicates']} {'kept' if kept else 'dropped'}{contradicting}"),
            ("unusable", cleaning["unusable"] or None),
            ("incomplete", cleaning["incomplete"] or None),
            ("outliers dropped", cleaning["outliers_dropped"] or None),
            ("leaks dropped", cleaning["leaks_dropped"] or None),
            ("kept", cleaning["rows_kept"]),
        ]
    )


@command.command("sources")
@common
def sources(as_json: bool) -> None:
    """List the sets of real data that installed packages carry."""
    from skylift.cli import _render
    from skylift.client import data

    found = data.sources()
    if as_json:
        _render.print_json(found)
        return
    _render.table(
        ["source", "target", "~what it is"], [(each["name"], each["target"], each["about"]) for each in found]
    )
    _render.next_steps(("skylift data add digits sklearn:digits", "prepares one"))


def _typed(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in values:
        name, equals, kind = text.rpartition("=")
        if not equals or not name or kind not in TYPES:
            raise click.BadParameter(f"{text!r} is not COLUMN={'|'.join(TYPES)}", param=param)
        pairs[name] = kind
    return pairs


def _sides(_ctx: click.Context, param: click.Parameter, value: str | None) -> list[int]:
    if value is None:
        return []
    sides = value.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise click.BadParameter(f"{value!r} is not HEIGHTxWIDTH", param=param)
    return [int(side) for side in sides]


@command.command("add")
@click.argument("name")
@click.argument("path", metavar="PATH|URL|SET")
@click.option("--target", default="", metavar="COLUMN", help="What is to be learned.")
@click.option("--task", type=click.Choice(["classification", "regression"]), help="Default: by the target's values.")
@click.option("--labels", help="The only labels there may be, in order, with commas between; others are refused.")
@click.option(
    "--type", "types", multiple=True, callback=_typed, metavar="COLUMN=TYPE", help="number, category or text."
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column to leave out.")
@click.option(
    "--missing",
    type=click.Choice(["median", "mean", "drop", "keep"]),
    default="median",
    show_default=True,
    help="What becomes of missing numbers; filled from the training split alone.",
)
@click.option(
    "--outliers",
    type=click.Choice(["keep", "drop", "clip"]),
    default="keep",
    show_default=True,
    help="Beyond Tukey's outer fences.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["drop", "keep"]),
    default="drop",
    show_default=True,
    help="Rows with equal inputs.",
)
@click.option(
    "--unreadable",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="Images that are damaged.",
)
@click.option("--split-column", default="", metavar="COLUMN", help="A column that says train, validation or test.")
@click.option(
    "--leaks",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="Equal inputs in two of your own splits; `drop` takes them out of training.",
)
@click.option("--validation", default=0.15, show_default=True, help="Share of each class to validate on.")
@click.option("--test", default=0.15, show_default=True, help="Share of each class to test on.")
@click.option("--seed", default=0, show_default=True, help="Decides which rows fall into which split.")
@click.option("--image-size", callback=_sides, metavar="HxW", help="Default: the size that most images have.")
@click.option("--text-bytes", default=1024, show_default=True, type=click.IntRange(1), help="Longest row of a text.")
@click.option("--delimiter", default=",", show_default=True, help="Of CSV files.")
@click.option("--no-header", is_flag=True, help="CSV files have no header; columns are called 0, 1, 2 and so on.")
@click.option(
    "--runner", metavar="RUNNER", help="Apache Beam: direct (this machine), dataflow; others are handed on untried."
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes of --runner direct.")
@click.option("--work", metavar="URL", help="A folder in a bucket that the runner's workers reach.")
@click.option(
    "--beam", multiple=True, metavar="OPTION", help="An option of Beam's own, such as --beam=--region=REGION."
)
@stack_option
@common
@click.pass_context
def add(ctx: click.Context, /, name: str, path: str, stack_flag: str | None, as_json: bool, **given: Any) -> None:
    """Clean, profile and split PATH, and publish it as the newest version of NAME.

    PATH is a file or folder of CSV, Parquet, .npy/.npz, TFRecord or images (class by folder), a URL (file://, s3://, gs://, az://), or a
    set that a package carries (`skylift data sources`). Everything that is wrong with it is named at once. Only what changed is sent.
    """
    from skylift.cli import _progress, _render
    from skylift.client import data

    stack = open_stack(ctx, stack_flag)
    with _progress.bytes_bar("preparing", quiet=as_json) as bar:
        added = data.add(stack, name, path, _how(given), bar)
    if as_json:
        _render.print_json(added)
        return
    known = added.description
    splits = ", ".join(f"{split['rows']} {word}" for word, split in known["splits"].items())
    click.echo(f"{added.dataset} is published: {_render.size(added.bytes)}, {splits}")
    _cleaning(known["cleaning"])
    _render.next_steps(
        (f"skylift data show {name}", "shows its columns and where its profile is"),
        (f"skylift train RECIPE --data {name}", "trains on it"),
    )


def _how(given: dict[str, Any]) -> Any:
    from skylift.client.data import Preparing

    options = {
        **{key: given[key] for key in ("target", "types", "missing", "outliers", "duplicates", "unreadable", "leaks")},
        "task": given["task"] or "",
        "labels": [label.strip() for label in given["labels"].split(",")] if given["labels"] else [],
        "ignore": list(given["ignore"]),
        "split_column": given["split_column"],
        "validation_share": given["validation"],
        "test_share": given["test"],
        "seed": given["seed"],
        "image_size": given["image_size"],
        "text_bytes": given["text_bytes"],
    }
    return Preparing(
        options=options,
        delimiter=given["delimiter"],
        has_header=not given["no_header"],
        runner=given["runner"] or "",
        workers=given["workers"],
        work=given["work"],
        beam=given["beam"],
    )


@command.command("remove")
@click.argument("name", shell_complete=complete_datasets)
@stack_option
@yes_option
@common
@click.pass_context
def remove(ctx: click.Context, name: str, stack_flag: str | None, yes: bool, as_json: bool) -> None:
    """Remove all versions of a dataset, after saying which models were trained on it and what the bucket still keeps.

    One that a deployed model was trained on is only removed with --yes: the model keeps answering, but nobody can train it again.
    """
    from skylift.cli import _render
    from skylift.client import data
    from skylift.errors import ConflictError

    stack = open_stack(ctx, stack_flag)
    plan = data.plan_removal(stack, name)
    deployed = _models(plan.deployed)
    if deployed and not yes:
        raise ConflictError(
            f"deployed models were trained on dataset {name}: {deployed}",
            hint="with --yes it is removed all the same; they keep answering, but nobody can train or check them on it again",
            details={"used_by": [f"{use.model}:{use.version}" for use in plan.deployed]},
        )
    if not as_json:
        _warn(plan.used_by, deployed)
        click.echo(f"After that: {data.retention(stack)}.")
    count = len(plan.versions)
    confirm(f"Remove {name}, {count} version{'s' if count != 1 else ''}, {_render.size(plan.bytes)}?", yes=yes)
    removed = data.remove(stack, name)
    if as_json:
        _render.print_json(
            {
                "removed": name,
                "versions": count,
                "bytes": removed.bytes,
                "used_by": plan.used_by,
                "purged": removed.purge.versions,
                "restorable_until": removed.purge.until,
                "retention": removed.purge.said,
            }
        )
        return
    click.echo(f"{name} is removed, {_render.size(removed.bytes)}; {removed.purge.said}")


def _warn(uses: list[Use], deployed: str) -> None:
    if deployed:
        click.secho(f"Deployed models were trained on it and can no longer be trained again: {deployed}", fg="yellow")
    elif uses:
        click.echo(f"Models that were trained on it stay: {_models(uses)}")
