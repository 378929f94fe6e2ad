"""What the training process does, stage by stage, from run.json to a published model and a report."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from skylift.artifacts import datasets, layout, models
from skylift.artifacts.objects import DamagedError
from skylift.artifacts.profile_records import Profile
from skylift.artifacts.records import ModelManifest, ModelRef, OtherSignature, PublishedModel, RunSpec, now
from skylift.errors import InputError
from skylift.store import ObjectExistsError, Store
from training.cluster.description import Cluster, read_tf_config
from training.contract import Array, Data, Task
from training.data.fitting import fitted, named
from training.explain import signature
from training.export.compare import ExportError
from training.export.formats import DEFAULT, Exported, export_all, refuse_impossible
from training.export.profile import make_profile
from training.export.samples import write_samples
from training.export.signature import signature_of, task_info
from training.loop import backend, batches
from training.loop.checkpoints import Checkpoints
from training.loop.checks import check_data, check_model, check_task
from training.loop.events import EventLog
from training.loop.group import Group, join, serve
from training.loop.learner import Learner
from training.loop.optimizing import class_weights, policy_for
from training.loop.progress import Progress
from training.loop.saving import Saver
from training.loop.served import ServedLearner
from training.loop.settings import LoopSettings
from training.loop.stopping import StopSignal
from training.loop.train import Training, evaluate_rows
from training.recipes.hyperparameters import fill
from training.recipes.loading import LoadedRecipe, bundled, from_code
from training.report.html import Facts, render
from training.report.measures import measures
from training.run.code import unpack
from training.run.wire import Helped, Sender, Stage, Succeeded

_ROLES = {"worker": "learning what the chief hands out", "ps": "holding parameters"}


class Work:
    """One attempt at a run. `progress` and `hyperparameters` are true at any moment, for whoever reports a failure."""

    def __init__(
        self, spec: RunSpec, keep: Store, work: Store, scratch: Path, stop: StopSignal, sender: Sender, attempt: int
    ) -> None:
        self.progress = Progress()
        self.hyperparameters: dict[str, Any] = dict(spec.hyperparameters)
        self.spec = spec
        self.attempt = attempt
        self._keep = keep
        self._work = work
        self._scratch = scratch
        self._stop = stop
        self._sender = sender
        self._cluster = read_tf_config(os.environ.get("TF_CONFIG", "{}"))
        self.is_chief = self._cluster is None or self._cluster.index == 0
        self._events = EventLog(work if self.is_chief else None, spec.id)
        self._stage = ("", time.monotonic())
        self.stages: dict[str, float] = {}
        """Seconds by stage."""

    def do(self) -> Succeeded | Helped:
        """Load, build, train, evaluate, export, publish, report; a member that is not the chief learns only.

        Raises:
            Stopped: as asked; what is worth keeping is saved.
            InputError: what is asked cannot be kept by the run's strategy.
        """
        spec = self.spec
        if self._cluster is not None and self._cluster.ps and not self.is_chief:
            self._serve(self._cluster)
        print(f"run {spec.id}, attempt {self.attempt}: recipe {spec.recipe} on {platform.node()}", flush=True)
        self.tell("reading the recipe")
        recipe = self._recipe()
        hp, settings, self.hyperparameters = fill(recipe.name, recipe.hyperparameters, spec.hyperparameters)
        task = recipe.task(hp)
        check_task(recipe.name, task)
        _check_strategy(spec, settings)
        backend.prepare(spec.seed)
        data = self._data(recipe, hp, task) if self._cluster is None else None
        self.tell("starting TensorFlow")
        tf, keras = backend.start(spec.seed, deterministic=settings.deterministic)
        if self._cluster is not None:
            self.tell(f"meeting {len(self._cluster.members) - 1} other members")
        group = join(tf, self._cluster, spec.strategy)
        self._stop.install()  # TensorFlow has put a handler of its own in its place
        print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {backend.describe_devices(tf)}", flush=True)
        keras.config.set_dtype_policy(policy_for(tf, settings))
        data = data or self._data(recipe, hp, task)  # of a group behind its meeting: a recipe's `load` may compute
        task = fitted(task, data)
        self.tell("building the model")
        twin = recipe.build(hp, data) if group.coordinator is not None else None
        with group.scope():
            model = recipe.build(hp, data)
        check_model(recipe.name, twin or model, data, task)
        if spec.explain:
            signature.refuse_impossible(tf, twin or model, task)
        if spec.publishes and self.is_chief and twin is None and group.replicas == 1:
            refuse_impossible(tf, model, task, data.test, spec.formats)
        learner = self._learn(tf, keras, model, data, task, settings, group, twin)
        if not self.is_chief:
            return Helped(step=self.progress.step)
        if not spec.publishes:
            return self._finish_trial()
        learner = learner.judge()
        if keras.config.dtype_policy().name != "float32" or group.replicas > 1:
            learner = self._alone_in_float32(tf, keras, recipe.build, hp, data, learner)
        return self._finish(tf, learner, data, task)

    def tell(self, text: str) -> None:
        """A new stage begins: for the status, the events, and `stages`."""
        stage, since = self._stage
        if stage:
            name = "training" if stage.startswith("epoch ") else stage
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - since
        self._stage = (text, time.monotonic())
        self._sender.send(Stage(text=text))
        self._stop.check()  # for a stop that some library's `except:` has swallowed
        if text:
            self._events.write("stage", step=self.progress.step, epoch=self.progress.epoch, text=text)

    def _recipe(self) -> LoadedRecipe:
        if self.spec.code is None:
            return bundled(self.spec.recipe)
        return from_code(unpack(self._keep, self.spec.code, self._scratch / "recipe"), self.spec.recipe)

    def _data(self, recipe: LoadedRecipe, hp: Any, task: Task) -> Data:
        source = None
        if self.spec.dataset is not None:
            self.tell("fetching the dataset")
            source = self._scratch / "dataset"
            datasets.fetch(self._keep, self.spec.dataset, source)
        self.tell("loading data")
        with named(recipe.name, self.spec.dataset, source):
            data = recipe.load(hp, source)
            check_data(recipe.name, data, fitted(task, data))
        rows = ", ".join(f"{getattr(data, name).rows} {name}" for name in ("train", "validation", "test"))
        print(f"rows: {rows}" + "".join(f"; {name}: {value}" for name, value in data.facts.items()), flush=True)
        return data

    def _serve(self, cluster: Cluster) -> NoReturn:
        """Do what the chief asks for until our supervisor, which sees the run's end, ends us."""
        backend.prepare(self.spec.seed)
        self.tell("starting TensorFlow")
        tf, _ = backend.start(self.spec.seed)
        server = serve(tf, cluster)
        self._stop.install()
        print(f"{_ROLES[cluster.role]} at {cluster.members[cluster.index]}", flush=True)
        self.tell(_ROLES[cluster.role])
        while server:
            time.sleep(3600.0)  # a stop raises Stopped here
        raise AssertionError

    def _learn(
        self,
        tf: Any,
        keras: Any,
        model: Any,
        data: Data,
        task: Task,
        settings: LoopSettings,
        group: Group,
        twin: Any = None,
    ) -> Learner:
        steps = settings.epochs * batches.count(data.train.rows, settings.batch_size)
        weights = class_weights(task, settings, data.train.y)
        policy = keras.config.dtype_policy().name
        given = (tf, keras, model, task, settings, steps)
        more: dict[str, Any] = {"policy": policy, "weights": weights, "group": group}
        if twin is None:
            learner = Learner(*given, **more)
        else:
            learner = ServedLearner(*given, **more, twin=Learner(tf, keras, twin, task, LoopSettings(), 1))
            _note_few_batches(group.learners, batches.count(data.train.rows, settings.batch_size))
        checkpoints = Checkpoints(tf, self._work, self.spec.id, self._scratch, settings.checkpoints_kept)
        saver = Saver(tf, learner, checkpoints if self.is_chief else None)
        self._resume(checkpoints, learner, saver)
        self._events.write(
            "plan", step=self.progress.step, epoch=self.progress.epoch, steps=steps, epochs=settings.epochs
        )
        print(f"{model.count_params():,} parameters, {steps} steps in {settings.epochs} epochs", flush=True)
        training = Training(
            run=self.spec.id,
            seed=self.spec.seed,
            learner=learner,
            task=task,
            data=data,
            settings=settings,
            progress=self.progress,
            saver=saver,
            events=self._events,
            stop=self._stop,
            tell=self.tell,
        )
        training.learn()
        best = self.progress.best
        if best is not None and best.step != self.progress.step:
            self.tell("taking the best epoch")
            saver.take_best()
        return learner

    def _alone_in_float32(
        self, tf: Any, keras: Any, build: Callable[[Any, Data], Any], hp: Any, data: Data, learned: Learner
    ) -> Learner:
        """The same model on one device, with float32 activations: what is tested and exported takes and gives what the signature
        says."""
        keras.config.set_dtype_policy("float32")
        model = build(hp, data)
        for variable, value in zip(model.variables, learned.model.variables, strict=True):
            variable.assign(value)
        return Learner(tf, keras, model, learned.task, LoopSettings(), 1)

    def _resume(self, checkpoints: Checkpoints, learner: Learner, saver: Saver) -> None:
        """Go on from this run's newest whole checkpoint, else from that of the run that it resumes."""
        for run in (self.spec.id, self.spec.resumed_from):
            for found in checkpoints.whole(run) if run else ():
                try:
                    checkpoints.restore(learner, found.run, found.step, saver.snapshot.best.variables)
                except DamagedError as error:
                    print(f"checkpoint {found.step} is damaged, trying the one before: {error.message}", flush=True)
                    continue
                self.progress = found.progress
                self.progress.stopped_early &= run == self.spec.id  # a new run may have more patience
                text = f"resumed from step {found.step} of run {found.run}, in epoch {found.progress.epoch + 1}"
                print(text, flush=True)
                self._events.write("note", step=found.step, epoch=found.progress.epoch, text=text)
                return

    def _finish_trial(self) -> Succeeded:
        """What a study asks of a trial: how its best epoch did on the validation split. The test split stays unseen."""
        best = self.progress.best
        row = next((row for row in self.progress.history if best is not None and row.epoch == best.epoch), None)
        validated = {name: value for name, value in (row.metrics if row else {}).items() if name.startswith("val_")}
        self.tell("")
        self._events.close()
        return self._succeeded(None, {name: round(value, 6) for name, value in validated.items()})

    def _finish(self, tf: Any, learner: Learner, data: Data, task: Task) -> Succeeded:
        self.tell("testing")
        means, outputs = evaluate_rows(learner, data.test, task)
        judged = measures(data.test.y, outputs, task)
        metrics = {name: round(value, 6) for name, value in (means | judged).items()}
        self._events.write("test", step=self.progress.step, epoch=self.progress.epoch, metrics=metrics)
        print("test  " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()), flush=True)
        published = self._published()
        if published is None:
            self.tell("exporting")
            folder = self._scratch / "model"
            exported = export_all(tf, learner.model, task, data.test, folder, (*DEFAULT, *self.spec.formats))
            for note in exported.notes:
                print(note, flush=True)
                self._events.write("note", text=note)
            write_samples(task, data.test, self.spec.seed, folder)
            more = self._signatures(tf, learner.model, task, data, folder) if self.spec.explain else {}
            self.tell("publishing")
            profile = make_profile(task, data.train, outputs)
            manifest = self._manifest(exported, task, metrics, more, profile)
            published = models.publish(self._keep, self.spec.model, folder, manifest)
        print(f"published model {published.name} version {published.version} ({published.digest[:12]})", flush=True)
        self.tell("writing the report")
        self._report(data, task, metrics, outputs, published)
        self.tell("")
        self._events.close()
        print("seconds by stage: " + ", ".join(f"{name} {took:.1f}" for name, took in self.stages.items()), flush=True)
        return self._succeeded(published, metrics)

    def _succeeded(self, model: PublishedModel | None, metrics: dict[str, float]) -> Succeeded:
        return Succeeded(
            model=model,
            steps=self.progress.step,
            epochs=self.progress.epoch,
            metrics=metrics,
            hyperparameters=self.hyperparameters,
        )

    def _published(self) -> PublishedModel | None:
        """The version that an attempt before this one published before it was killed."""
        for alias in models.list_versions(self._keep, self.spec.model):
            if alias.run == self.spec.id:
                return PublishedModel(name=alias.name, digest=alias.digest, version=alias.version)
        return None

    def _report(
        self, data: Data, task: Task, metrics: dict[str, float], outputs: Array, published: PublishedModel
    ) -> None:
        facts = Facts(
            spec=self.spec,
            attempt=self.attempt,
            hyperparameters=self.hyperparameters,
            task=task,
            data=data,
            history=self.progress.history,
            best_epoch=self.progress.best.epoch if self.progress.best else None,
            metrics=metrics,
            outputs=outputs,
            published=published,
            formats=models.read_manifest(
                self._keep, ModelRef(name=published.name, version=published.version, digest=published.digest)
            ).formats,
            seconds=dict(self.stages),
        )
        with contextlib.suppress(ObjectExistsError):  # an attempt before this one wrote it and was killed
            self._keep.create(layout.run_report(self.spec.id), render(facts).encode())

    def _signatures(self, tf: Any, model: Any, task: Task, data: Data, folder: Path) -> dict[str, OtherSignature]:
        """The signature `explain`, added to the SavedModel; one that computes something else is left out with a note."""
        self.tell("adding the signature explain")
        try:
            return {signature.NAME: signature.add_signature(tf, model, task, data, folder)}
        except ExportError as error:
            text = f"no signature explain: {error.message}"
            print(text, flush=True)
            self._events.write("note", text=text)
            return {}

    def _manifest(
        self,
        exported: Exported,
        task: Task,
        metrics: dict[str, float],
        more: dict[str, OtherSignature],
        profile: Profile,
    ) -> ModelManifest:
        return ModelManifest(
            name=self.spec.model,
            created=now(),
            by=self.spec.by,
            run=self.spec.id,
            recipe=self.spec.recipe,
            dataset=self.spec.dataset,
            hyperparameters=self.hyperparameters,
            signature=signature_of(task, exported.output_shape),
            signatures=more,
            task=task_info(task),
            metrics=metrics,
            formats=exported.formats,
            files=[],
            skylift=version("skylift"),
            profile=profile,
        )


def _check_strategy(spec: RunSpec, settings: LoopSettings) -> None:
    if spec.ps and settings.deterministic:
        raise InputError(
            "deterministic=true cannot be kept with parameter servers: steps overtake each other",
            hint="leave it out, or leave out `--ps`: workers alone learn in step",
        )


def _note_few_batches(workers: int, in_epoch: int) -> None:
    if in_epoch < workers:
        text = f"an epoch has {in_epoch} batches, {workers} workers share them: some have nothing to do"
        print(f"{text}; lower batch_size, or take fewer workers", flush=True)
