"""The processes that learn together: how a batch is shared out, and how they come to the same decisions.

One process on one device is a group of one. Several devices of a machine are replicas of tf.distribute.MirroredStrategy, several
machines those of MultiWorkerMirroredStrategy, whose members must make the same calls in the same order: what one of them knows
alone (that a stop was asked for, that a checkpoint is due) is summed over all before anybody acts on it. With parameter servers the
chief is alone in this sense: the workers do what it hands them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from training.cluster.description import Cluster
from training.contract import Array


class Group:
    """This process among its group.

    Args:
        strategy: of tf.distribute; None computes on one device.
        index: of this process; 0 is the chief, which alone writes.
        workers: processes that make the same calls.
        coordinator: of tf.distribute, which hands steps to `learners` other processes; None where each does its own.
    """

    def __init__(
        self,
        tf: Any,
        strategy: Any = None,
        index: int = 0,
        workers: int = 1,
        coordinator: Any = None,
        learners: int = 0,
    ) -> None:
        self.strategy = strategy or tf.distribute.get_strategy()
        self.index = index
        self.workers = workers
        self.coordinator = coordinator
        self.learners = learners or workers
        self._tf = tf
        self._sum = tf.function(self._summed, reduce_retracing=True)

    @property
    def replicas(self) -> int:
        """Devices in all processes."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def scope(self) -> Any:
        """Where variables that all replicas share are made."""
        return self.strategy.scope()

    def counting(self) -> Any:
        """Where the variables are made that count what was learned: beside the learner, or with its weights."""
        return contextlib.nullcontext() if self.coordinator is None else self.scope()

    def sum(self, values: Sequence[float]) -> list[float]:
        """The values summed over all processes; every process must ask at the same point."""
        if self.workers == 1:
            return list(values)
        given = self._tf.constant(np.asarray(values, np.float64) / self._replicas_here)
        return [float(each) for each in self._sum(given).numpy()]

    def from_chief(self, values: Sequence[float]) -> list[float]:
        """The chief's values on every process."""
        return self.sum(values if self.is_chief else [0.0] * len(values))

    def level(self, variables: Sequence[Any]) -> None:
        """Set floating variables that each process learned from its own rows (moving averages of normalisation) to their mean."""
        own = [each for each in variables if not each.trainable and "float" in str(each.dtype)]
        if self.workers == 1 or not own:
            return
        sizes = [int(np.prod(each.shape)) for each in own]
        flat = np.concatenate([np.asarray(each).reshape(-1) for each in own])
        mean = np.asarray(self.sum(flat.tolist())) / self.workers
        for each, part in zip(own, np.split(mean, np.cumsum(sizes)[:-1]), strict=True):
            each.assign(part.reshape(each.shape))

    @property
    def _replicas_here(self) -> int:
        return self.replicas // self.workers

    def _summed(self, values: Any) -> Any:
        return self.strategy.reduce("SUM", self.strategy.run(self._tf.identity, args=(values,)), axis=None)


def join(tf: Any, cluster: Cluster | None, asked: str = "auto") -> Group:
    """The group that this process computes in. Of several machines before anything is computed, as TensorFlow wants it.

    Several GPUs have not been tried on hardware yet.
    """
    if cluster is not None and cluster.ps:
        strategy = tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver())
        coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        return Group(tf, strategy, coordinator=coordinator, learners=cluster.workers)
    if cluster is not None:
        return Group(tf, tf.distribute.MultiWorkerMirroredStrategy(), cluster.index, cluster.workers)
    if asked == "mirrored" or (asked == "auto" and len(tf.config.list_physical_devices("GPU")) > 1):
        return Group(tf, tf.distribute.MirroredStrategy())
    return Group(tf)


def serve(tf: Any, cluster: Cluster) -> Any:
    """Let the chief compute here (a worker), or keep its variables here (a parameter server), as long as what is returned is kept."""
    if cluster.role == "ps":
        tf.config.set_visible_devices([], "GPU")
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    return tf.distribute.Server(
        resolver.cluster_spec(), job_name=cluster.role, task_index=resolver.task_id, protocol="grpc", start=True
    )


def shared_out(rows: Array, replicas: int) -> tuple[Array, Array]:
    """The rows of a batch, `[replicas, each]`, and 1 where a row counts, 0 where one was repeated to give all replicas the same
    number: `[replicas, each] float32`."""
    each = -(-len(rows) // replicas)
    filled = np.resize(rows, replicas * each)
    counts = (np.arange(replicas * each) < len(rows)).astype(np.float32)
    return filled.reshape(replicas, each), counts.reshape(replicas, each)
