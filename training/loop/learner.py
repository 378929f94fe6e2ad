"""A model, its optimizer and the two compiled functions of the loop: one training step, one evaluation step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from training.contract import LOSSES, Array, Task
from training.loop import optimizing
from training.loop.batches import Inputs
from training.loop.feed import Feed, Sharing
from training.loop.group import Group
from training.loop.settings import LoopSettings


class Sums:
    """Sums over rows, kept where the model computes: reading them is the only time the loop waits for the device."""

    def __init__(self, tf: Any, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.rows = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.totals = tf.Variable([0.0] * len(names), dtype=tf.float64, trainable=False)
        self._tf = tf

    def add(self, per_row: Sequence[Any]) -> None:
        """Add one batch: for every name a tensor `[rows]`."""
        tf = self._tf
        totals = tf.stack([tf.reduce_sum(tf.cast(each, tf.float64)) for each in per_row])
        self.add_totals(tf.cast(tf.shape(per_row[0])[0], tf.float64), totals)

    def add_totals(self, rows: Any, totals: Any) -> None:
        """Add so many rows (scalar float64) with the sum of each name over them, `[names] float64`."""
        self.rows.assign_add(rows)
        self.totals.assign_add(totals)

    def means(self, group: Group | None = None) -> dict[str, float]:
        """Over the rows of this process, or over those of a group whose members all ask at the same point."""
        known = [float(self.rows.numpy()), *map(float, self.totals.numpy())]
        rows, *totals = group.sum(known) if group else known
        return {name: total / max(rows, 1.0) for name, total in zip(self.names, totals, strict=True)}

    def reset(self) -> None:
        self.rows.assign(0.0)
        self.totals.assign([0.0] * len(self.names))


class Learner:
    """Everything of a run that lives on the device.

    Args:
        steps: in the whole run, for the schedule of the learning rate.
        policy: Keras's dtype policy that the model was built under.
        group: of processes that learn together; the model was built in its scope.
        weights: of each class in the loss, `[classes] float32`.
    """

    def __init__(
        self,
        tf: Any,
        keras: Any,
        model: Any,
        task: Task,
        settings: LoopSettings,
        steps: int,
        *,
        policy: str = "float32",
        weights: Array | None = None,
        group: Group | None = None,
    ) -> None:
        self.model = model
        self.task = task
        self.group = group or Group(tf)
        with self.group.scope():
            self.optimizer = optimizing.optimizer(keras, settings, steps, policy)
            self.optimizer.build(model.trainable_variables)
        with self.group.counting():
            self.sums = Sums(tf, ("loss", *task.metrics))
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._bad_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self.evaluated = Sums(tf, ("loss", *task.metrics))
        self.tf = tf
        self._weights = None if weights is None else tf.constant(weights)
        self._per_row = _per_row(tf, keras, task)
        jit = True if optimizing.compiles(tf, settings) else None
        self._gradients = tf.function(self._differentiated, jit_compile=jit)
        signature = [_input_spec(tf, task), _target_spec(tf, task)]
        self.train_step: Callable[[Inputs, Any], None] = tf.function(self._alone, input_signature=signature)
        self.eval_step: Callable[[Inputs, Any], Any] = tf.function(self._evaluated, input_signature=signature)

    def steps_of(self, feed: Feed) -> Callable[[Any, int, int], None]:
        """A function that learns from several batches in one call: of what `feed.begin` gave, the first one's number behind it, and
        how many."""
        tf, group = self.tf, self.group

        def train_steps(source: Any, first: Any, count: Any) -> None:
            for number in tf.range(first, first + count):
                batch = feed.fetch(source, number)
                self._count(group.strategy.run(self._share_of(feed), args=(batch,)))

        compiled = tf.function(train_steps, reduce_retracing=True)
        return lambda source, first, count: compiled(source, tf.constant(first, tf.int64), tf.constant(count, tf.int64))

    def judge(self) -> Learner:
        """A learner in this process with these weights, to evaluate them."""
        return self

    def wait(self) -> None:
        """Until the device has done all steps so far."""
        self._step.numpy()

    @property
    def bad_step(self) -> int | None:
        """The first step whose loss was not finite, counted from 1."""
        found = int(self._bad_step.numpy())
        return found if found >= 0 else None

    @property
    def weights(self) -> list[Any]:
        """The variables of the model, seeds of its random layers included."""
        return [variable.value for variable in self.model.variables]

    @property
    def state(self) -> list[Any]:
        """All variables that the next step depends on, and the sums of the epoch so far."""
        optimizer = [variable.value for variable in self.optimizer.variables]
        return [*optimizer, self._step, self.sums.rows, self.sums.totals]

    def _share_of(self, feed: Sharing) -> Callable[[Any], tuple[Any, Any, Any]]:
        def learn(batch: Any) -> tuple[Any, Any, Any]:
            replica = self.tf.distribute.get_replica_context().replica_id_in_sync_group
            return self._learned(*feed.share(batch, replica))

        return learn

    def _alone(self, x: Any, y: Any) -> None:
        """One step from one whole batch, on this process alone."""
        rows = self.tf.shape(y)[0]
        self._count(self._learned(x, y, self.tf.fill([rows], 1.0 / self.tf.cast(rows, self.tf.float32))))

    def _learned(self, x: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
        """One replica's part of a step: rows, sums over them, and the loss."""
        gradients, learned = self._gradients(x, y, weights)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        rows, sums, loss = learned
        return rows, sums, loss

    def _differentiated(self, x: Any, y: Any, weights: Any) -> tuple[list[Any], tuple[Any, Any, Any]]:
        tf, model = self.tf, self.model
        with tf.GradientTape() as tape:
            values = self._per_row(y, model(x, training=True))
            loss = tf.reduce_sum(self._weighed(values[0], y) * weights)
            if model.losses:
                loss += tf.add_n([tf.cast(extra, loss.dtype) for extra in model.losses]) / self.group.replicas
            scaled = self.optimizer.scale_loss(loss)
        counts = tf.cast(weights > 0, tf.float64)
        sums = tf.stack([tf.reduce_sum(tf.cast(each, tf.float64) * counts) for each in values])
        return tape.gradient(scaled, model.trainable_variables), (tf.reduce_sum(counts), sums, loss)

    def _count(self, learned: tuple[Any, Any, Any], number: Any = None) -> None:
        """Add what the replicas of this process learned from, in the step of that number or the next one."""
        tf = self.tf
        rows, sums, losses = (tf.add_n(list(self.group.strategy.experimental_local_results(each))) for each in learned)
        self.sums.add_totals(rows, sums)
        done = self._step.assign_add(1)
        step = done if number is None else number
        is_first_bad = tf.logical_and(self._bad_step < 0, tf.logical_not(tf.math.is_finite(losses)))
        self._bad_step.assign(tf.where(is_first_bad, step, self._bad_step))

    def _weighed(self, losses: Any, y: Any) -> Any:
        if self._weights is None:
            return losses
        return losses * self.tf.gather(self._weights, self.tf.cast(self.tf.reshape(y, [-1]), self.tf.int64))

    def _evaluated(self, x: Any, y: Any) -> Any:
        outputs = self.model(x, training=False)
        self.evaluated.add(self._per_row(y, outputs))
        return outputs


def _per_row(tf: Any, keras: Any, task: Task) -> Callable[[Any, Any], list[Any]]:
    """A function of targets and outputs: the loss and every metric, each `[rows]`."""
    assert task.loss in LOSSES
    losses = {name: getattr(keras.losses, name) for name in (*LOSSES, "mean_squared_error", "mean_absolute_error")}

    def accuracy(y: Any, outputs: Any) -> Any:
        if task.kind == "classification":
            return tf.cast(tf.equal(tf.argmax(outputs, axis=-1), y), tf.float32)
        return tf.cast(tf.equal(outputs[:, 0] >= 0.5, y[:, 0] >= 0.5), tf.float32)

    def per_row(y: Any, raw: Any) -> list[Any]:
        outputs = tf.cast(raw, tf.float32)
        if task.kind != "classification":
            outputs = tf.reshape(outputs, [tf.shape(raw)[0], -1])
        values = [losses[task.loss](y, outputs)]
        for name in task.metrics:
            values.append(accuracy(y, outputs) if name == "accuracy" else losses[name](y, outputs))
        return values

    return per_row


def _input_spec(tf: Any, task: Task) -> Any:
    specs = {each.name: tf.TensorSpec([None, *each.shape], each.dtype, name=each.name) for each in task.inputs}
    return specs if len(specs) > 1 else specs[task.inputs[0].name]


def _target_spec(tf: Any, task: Task) -> Any:
    if task.kind == "classification":
        return tf.TensorSpec([None], tf.int64)
    return tf.TensorSpec([None, None], tf.float32)
