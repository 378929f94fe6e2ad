"""A stack as people use it: where its buckets and endpoints are, and what can be done with them."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from skylift.errors import InputError, not_found
from skylift.stack.project import Project

if TYPE_CHECKING:
    from skylift.artifacts.consent import Approval, Veto
    from skylift.artifacts.optimized import Optimized
    from skylift.artifacts.records import Deployment, FormatName, ModelRef, RunSummary
    from skylift.client.canaries import Progress
    from skylift.client.explaining import Wanted
    from skylift.client.optimizing import Optimizing
    from skylift.client.prediction import Prediction
    from skylift.client.training import Request, Run
    from skylift.client.tuning import Tuned
    from skylift.engine import Engine, OnBuild, Tool
    from skylift.stack.outputs import EndpointOutput, Outputs
    from skylift.stack.settings import Settings
    from skylift.store import Store


class Stack:
    """One environment on one target.

    Args:
        name: the stack; None takes the project's only one.
        project: the project's folder; None looks from the current folder upwards.
        on_build: told how far the making of the engine is, should it have to be made.

    Raises:
        NotFoundError: no project, or no stack of that name.
        InputError: the project has several stacks and none was named.
    """

    def __init__(
        self, name: str | None = None, project: Path | str | None = None, *, on_build: OnBuild | None = None
    ) -> None:
        self.project = Project.find(Path(project) if project is not None else None)
        self.name = _choose(self.project, name)
        self._on_build = on_build

    def __repr__(self) -> str:
        return f"Stack({self.name!r})"

    @cached_property
    def settings(self) -> Settings:
        return self.project.settings(self.name)

    @cached_property
    def engine(self) -> Engine:
        from skylift.engine import Engine

        return Engine(self.project, self.name, progress=self._on_build)

    @cached_property
    def tool(self) -> Tool:
        """The Pulumi engine, made if need be."""
        from skylift.engine import find_pulumi

        return find_pulumi(progress=self._on_build)

    @cached_property
    def outputs(self) -> Outputs:
        """What the stack promises.

        Raises:
            ProvisionError: it is not up.
        """
        return self.engine.outputs()

    @cached_property
    def keep(self) -> Store:
        from skylift.store import open_store

        return open_store(self.outputs.buckets.keep)

    @cached_property
    def work(self) -> Store:
        from skylift.store import open_store

        return open_store(self.outputs.buckets.work)

    def endpoint(self, name: str | None = None) -> tuple[str, EndpointOutput]:
        """An endpoint by name; the only one if none is named.

        Raises:
            NotFoundError: no endpoint of that name.
            InputError: there are several and none was named.
        """
        endpoints = self.outputs.endpoints
        if name is None:
            if len(endpoints) == 1:
                return next(iter(endpoints.items()))
            if "default" in endpoints:
                return "default", endpoints["default"]
            if not endpoints:
                raise not_found("endpoint", "default", endpoints, hint=_ENDPOINTS.format(stack=self.name))
            raise InputError(
                f"stack {self.name!r} has several endpoints: {', '.join(sorted(endpoints))}",
                hint="name one with --endpoint",
            )
        if name not in endpoints:
            raise not_found("endpoint", name, endpoints, hint=_ENDPOINTS.format(stack=self.name))
        return name, endpoints[name]

    # training

    def train(
        self,
        recipe: str,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        model: str | None = None,
        data: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        seed: int = 0,
        workers: int = 1,
        strategy: Literal["auto", "one", "mirrored", "multiworker", "ps"] = "auto",
        ps: int = 0,
        explain: bool = False,
        formats: Sequence[FormatName] = (),
        if_changed: bool = False,
        if_drifted: bool = False,
        wait: bool = True,
    ) -> Run:
        """Train a recipe and, unless `wait` is false, wait for the model.

        Args:
            recipe: a bundled recipe's name, `path/to/file.py` or `package.module`.
            model: the name to publish under; default the recipe's.
            data: a folder of files that `load` gets as `source`, of which only what changed is sent; or as a text the name of a dataset.
            env, secrets: environment variables, recorded; names of secrets, whose values go there too and are never recorded.
            workers: processes that learn together; see docs/training.md.
            strategy, ps: how the work is shared out; processes beside them that hold the parameters, so that no worker waits.
            explain: give the SavedModel a signature `explain`, which says what its predictions go by.
            formats: which the model must have, beside SavedModel; ONNX and .keras are tried anyway.
            if_changed: start nothing where data, code, hyperparameters and seed are those of the model's newest succeeded run, or of one
                that is at work: the run returned is then that one. `skylift.client.unchanged.compare` says what is different.
            if_drifted: the same, but a newer version of the dataset counts only where a column has drifted.

        Raises:
            NotFoundError: no such recipe, or no value is kept for a secret.
            InputError: what was asked is wrong; nothing was started.
            RunFailedError: the run ended without a model.
            SavedError: it was stopped and can be resumed.
            UnreachableError: it gives no sign of life.
        """
        from skylift.client import training

        asked = training.Request(
            recipe=recipe,
            hyperparameters=dict(hyperparameters or {}),
            model=model,
            data=data,
            env=dict(env or {}),
            secrets=tuple(secrets),
            seed=seed,
            workers=workers,
            strategy=strategy,
            ps=ps,
            explain=explain,
            formats=tuple(formats),
        )
        run = self._same(asked, if_drifted) if if_changed or if_drifted else None
        run = run or training.start(self, asked)
        if wait:
            run.wait()
        return run

    def _same(self, asked: Request, by_drift: bool) -> Run | None:
        """The run that has learned, or is learning, just that."""
        from skylift.client import unchanged

        found = unchanged.compare(self, asked, by_drift=by_drift)
        return self.run(found.run) if found.is_same and found.run is not None else None

    def tune(
        self,
        recipe: str,
        *,
        search: Sequence[str] = (),
        trials: int = 20,
        parallel: int = 2,
        metric: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        data: Path | str | None = None,
        seed: int = 0,
        name: str | None = None,
        final: bool = True,
    ) -> Tuned:
        """Search a recipe's hyperparameters, and train and publish a model with the best unless `final` is false.

        Args:
            search: what to search, as on the command line: `units=16..256:log`, `cell=lstm,gru`; empty: what matters most.
            parallel: trials at once, each a run of its own.
            metric: what to search for, on the validation split; default what chooses the best epoch.
            hyperparameters: fixed in all trials.
            name: the study's; one that exists goes on.

        Raises:
            InputError: mistakes in what is asked; nothing was started.
            ConflictError: the study of that name asks something else, or another command is at it.
            RunFailedError: no trial came to its end.
        """
        from skylift.client import studying, training, tuning

        asked = training.Request(recipe=recipe, hyperparameters=dict(hyperparameters or {}), data=data, seed=seed)
        wish = studying.Search(asked, tuple(search), trials, parallel, metric, name)
        return tuning.tune(self, studying.plan(self, wish), final=final)

    def resume(self, run: str, *, wait: bool = True) -> Run:
        """Go on with a run from its last checkpoint: under its id if it never ended, else as a new run that names it.

        Raises:
            ConflictError: it is still at work.
            RunFailedError, SavedError, UnreachableError: see train().
        """
        from skylift.client import training

        resumed = training.resume(self, run)
        if wait:
            resumed.wait()
        return resumed

    def run(self, run: str = "last") -> Run:
        """A run by id, by a unique beginning or ending of it, or the last one."""
        from skylift.artifacts import runs
        from skylift.client.training import Run

        return Run(self, runs.find_run(self.keep, run))

    def runs(self, limit: int | None = None, *, where: Callable[[RunSummary], bool] | None = None) -> list[RunSummary]:
        """Runs, newest first; `where` says which are wanted."""
        from skylift.artifacts import runs

        return runs.list_runs(self.keep, self.work, limit=limit, where=where)

    def optimize(self, model: str, how: Optimizing | None = None) -> Optimized:
        """Try ways to make a model smaller and faster, and publish one of them if that is asked; docs/optimizing.md.

        Raises like skylift.client.optimizing.optimize.
        """
        from skylift.client import optimizing

        return optimizing.optimize(self, model, how or optimizing.Optimizing())

    def shard(
        self,
        model: str,
        parts: int,
        *,
        objective: Literal["time", "memory"] = "time",
        bandwidth: float = 10.0,
        name: str = "",
        out: Path | None = None,
    ) -> dict[str, Any]:
        """Cut a model into parts that serve as a chain, and publish them; what came of it, as docs/sharding.md names it.

        Args:
            objective: what is balanced between parts: the time of a batch, or memory.
            bandwidth: between two parts [Gbit/s].
            name: what the parts' names begin with; empty: the model's name.
            out: a new folder to write the parts to, instead of publishing them.

        Raises:
            NotFoundError: no such model.
            InputError: it cannot be cut so; the error says into how many parts it can.
        """
        from skylift.client import sharding

        return sharding.shard(self, model, sharding.Cutting(parts, objective, bandwidth, name, out))

    # serving

    def deploy(
        self, model: str | ModelRef, *, endpoint: str | None = None, canary: float | None = None, wait: bool = True
    ) -> Deployment:
        """Let an endpoint answer with a model's version; unless `wait` is false, return when every replica does.

        Args:
            canary: give it only this share of the requests (0 to below 1), beside what answers now; docs/releasing.md.

        Raises:
            NotFoundError: no such model or version.
            DeployError: the version was refused, or a replica could not load it and the one before is back.
            ConflictError: somebody else deployed meanwhile.
            UnreachableError: nobody serves the endpoint.
        """
        from skylift.client import canaries, releases

        if canary is not None:
            return canaries.begin(self, model, canary, endpoint=endpoint, wait=wait)
        return releases.deploy(self, model, endpoint=endpoint, wait=wait)

    def promote(self, *, endpoint: str | None = None, force: bool = False, wait: bool = True) -> Deployment:
        """Let the canary answer all requests.

        Args:
            force: also one that was vetoed.

        Raises:
            NotFoundError: there is none.
            DeployError: it was vetoed, or a replica could not serve it and what answered before is back.
            ConflictError, UnreachableError: see deploy().
        """
        from skylift.client import canaries

        return canaries.promote(self, endpoint=endpoint, force=force, wait=wait)

    def veto(self, why: str, *, endpoint: str | None = None, wait: bool = True) -> Veto:
        """End the canary for good, on all replicas.

        Raises:
            NotFoundError: there is none.
            CredentialsError: you may not; rollback() does the same for whoever may deploy.
        """
        from skylift.client import canaries

        return canaries.veto(self, why, endpoint=endpoint, wait=wait)

    def approve(self, number: int | None = None, *, endpoint: str | None = None, wait: bool = True) -> Approval:
        """Agree to a deployment that somebody else made; default the one that is to be served.

        Raises:
            NotFoundError: no such deployment.
            CredentialsError: it is your own, or you may not approve.
            DeployError, UnreachableError: replicas do not serve it; the approval stands.
        """
        from skylift.client import approving

        return approving.approve(self, endpoint=endpoint, number=number, wait=wait)

    def canary(self, endpoint: str | None = None) -> Progress | None:
        """How the canary of an endpoint fares on all replicas; None where there is none."""
        from skylift.client import canaries

        return canaries.progress(self, endpoint)

    def rollback(self, *, endpoint: str | None = None, to: int | None = None, wait: bool = True) -> Deployment:
        """Let an endpoint answer with what it served before (while there is a canary: without it), or with deployment `to`.

        Raises:
            NotFoundError: there is nothing to go back to.
            DeployError, ConflictError, UnreachableError: see deploy().
        """
        from skylift.client import releases

        return releases.rollback(self, endpoint=endpoint, to=to, wait=wait)

    def explain(
        self, model: str, source: Any = None, *, sample: int | None = None, wanted: Wanted | None = None
    ) -> dict[str, Any]:
        """Why a published model says what it says of one input, or what it relies on as a whole; docs/explaining.md.

        Raises like skylift.client.explaining.explain.
        """
        from skylift.client import explaining

        return explaining.explain(self, model, source, sample=sample, wanted=wanted or explaining.Wanted()).found

    def predict(self, inputs: Any, *, endpoint: str | None = None, invert: bool = False) -> list[Prediction]:
        """Ask an endpoint.

        Args:
            inputs: a path to .json, .npy, .csv, .png or .jpg; or an array or nested list, one row or a batch.
            invert: images: take light for dark.

        Raises:
            InputError: the input does not fit the model.
            NotFoundError: the endpoint serves nothing yet.
            UnreachableError: the server does not answer.
        """
        from skylift.client import prediction

        return prediction.predict(self, inputs, endpoint=endpoint, invert=invert)


_ENDPOINTS = (
    "`skylift:endpoints` in stacks/Pulumi.{stack}.yaml lists them; `skylift up {stack}` makes what is new there"
)


def who() -> str:
    """Who acts, for records: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _choose(project: Project, name: str | None) -> str:
    known = project.stacks()
    if name is None:
        if len(known) == 1:
            return known[0]
        if not known:
            raise not_found("stack", "local", known, hint="`skylift quickstart` or `skylift init local` makes one")
        raise InputError(
            f"the project has several stacks: {', '.join(known)}",
            hint="name one with --stack, or set SKYLIFT_STACK",
        )
    if name not in known:
        raise not_found("stack", name, known, hint=f"`skylift init {name}` writes stacks/Pulumi.{name}.yaml")
    return name
