"""A simulated cloud account: what is there, what happened in which order, and the faults that tests ask for. No network, no clock."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.clouds import answers, computed, faults, naming, relations, wheels
from tests.clouds.relations import Stored
from tests.clouds.values import Unknown, plain
from tests.clouds.world import World

Answer = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]


class CloudError(Exception):
    """The simulated cloud refuses."""


class HalfMadeError(CloudError):
    """A resource was made and did not become what it should."""

    def __init__(self, message: str, stored: Stored) -> None:
        super().__init__(message)
        self.stored = stored


@dataclass(frozen=True)
class Happening:
    """One change of the account."""

    operation: str
    """create, update, delete, fail (a create that was refused), drift or vanish"""
    token: str
    name: str
    """The logical name."""
    id: str

    def __str__(self) -> str:
        return f"{self.operation} {self.token.rpartition(':')[2]} {self.name}"


@dataclass
class SimulatedCloud:
    """One account of every cloud at once. What tests change: credentials, account (in `world`), quota, answers, faults, contents."""

    world: World = field(default_factory=World)
    credentials: str = "ok"
    """ok, missing or expired"""
    resources: dict[tuple[str, str], Stored] = field(default_factory=dict)
    """By token and id, in the order of their creation."""
    log: list[Happening] = field(default_factory=list)
    quota: dict[str, float] = field(default_factory=dict)
    """Values of service quotas by code, for those that are not 1000."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """Answers to invokes by token, before what the simulation can say itself."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    retries: int = 0
    """How often a provider tried again by itself."""
    waited: float = 0.0
    """Time that operations took on the simulated clock [s]."""
    configured: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last configuration of each package's provider."""
    slow_operation: float = 3600.0
    """What an operation with the fault `slow` takes [s]; it fails if the resource's timeout is shorter."""

    has_chance: bool = True
    """Whether names that providers choose differ from one stack to the next; without, a recorded state is always the same."""
    hosts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Which cluster answers at an address, those that are gone among them."""

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._faults: list[faults.Fault] = []
        self._made: dict[tuple[str, str], int] = {}
        self._gone_softly: set[str] = set()
        self._orders = 0

    # what tests look at and change

    def of(self, token: str) -> list[Stored]:
        """All of a type: a whole token, or its last part (`Bucket`)."""
        return [one for one in self.resources.values() if token in (one.token, one.kind)]

    def one(self, token: str, name: str | None = None) -> Stored:
        found = [one for one in self.of(token) if name in (None, one.name, one.physical)]
        assert len(found) == 1, (
            f"{len(found)} of {token} {name or ''}, not one: {[one.name or one.id for one in self.of(token)]}"
        )
        return found[0]

    def own(self) -> list[Stored]:
        """What stacks made and have not removed."""
        return [one for one in self.resources.values() if not one.is_foreign]

    def happened(self, *operations: str) -> list[str]:
        """The log as texts such as `create Bucket keep`, of these operations or of all."""
        return [str(one) for one in self.log if not operations or one.operation in operations]

    def existing(self, token: str, identifier: str, outputs: Mapping[str, Any]) -> Stored:
        """Put something there that no stack owns, for stacks that refer to it."""
        stored = Stored(token, identifier, "", dict(outputs), dict(outputs), is_foreign=True)
        self.resources[token, identifier] = stored
        return stored

    def drift(self, token: str, path: str, value: Any, name: str | None = None) -> None:
        """Change an input behind the stack's back; `path` as in `tags.owner` or `rules[0].days`."""
        with self.lock:
            stored = self.one(token, name)
            for values in (stored.inputs, stored.outputs):
                _set(values, path, value)
            self.log.append(Happening("drift", stored.token, stored.name, stored.id))

    def vanish(self, token: str, name: str | None = None) -> None:
        """Delete behind the stack's back."""
        with self.lock:
            stored = self.one(token, name)
            del self.resources[stored.token, stored.id]
            self.log.append(Happening("vanish", stored.token, stored.name, stored.id))

    def fill(self, token: str, name: str | None = None, *, filled: bool = True) -> None:
        """Put objects, images or deployed models into something, or take them out."""
        self.one(token, name).is_filled = filled

    def fail(
        self, token: str, on: str = "create", error: str = "quota", times: int = 1, name: str | None = None
    ) -> None:
        """Let the next operations on such resources fail; see faults.KINDS."""
        assert error in faults.KINDS, error
        self._faults.append(faults.Fault(token, on, error, times, name))

    def taggable_without(self, keys: Iterable[str]) -> list[Stored]:
        """What stacks made that could carry tags or labels and lacks one of these."""
        wanted = set(keys)
        return [one for one in self.own() if (tags := _tags(one)) is not None and not wanted <= tags.keys()]

    def purge(self) -> None:
        """Let names go that soft-deleted resources hold."""
        self._gone_softly.clear()

    # what providers call

    def authorize(self, package: str) -> None:
        if self.credentials == "missing":
            raise CloudError(faults.MISSING.get(package, "no credentials"))
        if self.credentials == "expired":
            raise CloudError(faults.EXPIRED.get(package, "credentials have expired"))

    def create(
        self,
        token: str,
        name: str,
        inputs: dict[str, Any],
        world: World,
        timeout: float = 0,
        labels: Mapping[str, Any] | None = None,
    ) -> Stored:
        """Make one; `labels` are the outputs that the provider's own configuration adds.

        Raises:
            CloudError: refused, or made by half.
        """
        with self.lock:
            self.authorize(token.split(":")[0])
            half = self._fault("create", token, name, timeout)
            count = self._made[token, name] = self._made.get((token, name), -1) + 1
            salt = str(count) if count else ""
            identifier, outputs = computed.outputs(token, name, inputs, world, salt=salt)
            outputs |= labels or {}
            self._require_free(token, name, identifier, inputs)
            self._orders += 1
            stored = Stored(token, identifier, name, inputs, outputs, salt, order=self._orders)
            self.resources[token, identifier] = stored
            self.hosts |= dict.fromkeys(_hosts(stored), (token, identifier))
            self._happened("create", stored)
            self._effects(stored)
            if half:
                stored.is_broken = True
                raise HalfMadeError(half, stored)
            return stored

    def update(
        self,
        token: str,
        identifier: str,
        name: str,
        inputs: dict[str, Any],
        world: World,
        timeout: float = 0,
        labels: Mapping[str, Any] | None = None,
    ) -> Stored:
        with self.lock:
            self.authorize(token.split(":")[0])
            half = self._fault("update", token, name, timeout)
            stored = self.resources.get((token, identifier))
            if stored is None:
                raise CloudError(f"{identifier} was not found")
            refused = relations.displaced(stored, inputs, self.resources.values())
            if refused:
                raise CloudError(refused)
            _, outputs = computed.outputs(token, stored.name or name, inputs, world, salt=stored.salt)
            outputs |= labels or {}
            if "latestVersion" in outputs:
                outputs["latestVersion"] = int(stored.outputs.get("latestVersion", 1)) + 1
            stored.inputs, stored.outputs, stored.is_broken = inputs, outputs, bool(half)
            self._happened("update", stored)
            self._effects(stored)
            if half:
                raise HalfMadeError(half, stored)
            return stored

    def read(self, token: str, identifier: str) -> Stored | None:
        with self.lock:
            self.authorize(token.split(":")[0])
            return self.resources.get((token, identifier))

    def delete(self, token: str, identifier: str, name: str, timeout: float = 0) -> None:
        with self.lock:
            self.authorize(token.split(":")[0])
            stored = self.resources.get((token, identifier))
            if stored is None:
                return
            half = self._fault("delete", token, name, timeout)
            refused = half or relations.refusal(stored, self.resources.values())
            if refused:
                raise CloudError(refused)
            del self.resources[token, identifier]
            self._happened("delete", stored)
            if token in relations.SOFT:
                self._gone_softly.add(identifier)
            if token in relations.CASCADES:
                # A role's definition belongs to the tenant, wherever it may be assigned.
                inside = [key for key in self.resources if key[1].startswith(f"{identifier}/")]
                for key in [key for key in inside if not key[0].endswith(":RoleDefinition")]:
                    self._happened("delete", self.resources.pop(key))

    def invoke(self, token: str, arguments: dict[str, Any], world: World) -> dict[str, Any]:
        with self.lock:
            self.authorize(token.split(":")[0])
            self.asked.append((token, arguments))
            known = self.answers.get(token)
            if known is not None:
                return dict(known(arguments) if callable(known) else known)
            if token == "azure-native:containerservice:listManagedClusterUserCredentials":
                return answers.kubeconfigs(self.one("ManagedCluster", str(arguments["resourceName"])).outputs["fqdn"])
            try:
                told = answers.answer(token, arguments, world)
            except answers.UnansweredError:
                return self._looked_up(token, arguments)
            if token.endswith(":getServiceQuota"):
                told["value"] = self.quota.get(str(arguments.get("quotaCode")), told["value"])
            return told

    def require_cluster(self, kubeconfig: Any) -> None:
        """Refuse what is asked of a cluster that is gone, or through a kubeconfig that is none."""
        if kubeconfig is None or isinstance(kubeconfig, Unknown):
            return
        try:
            server = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"]
        except (TypeError, LookupError, yaml.YAMLError) as error:
            raise CloudError(f"failed to parse kubeconfig data: {error}") from None
        host = re.sub(r"^https?://|[:/].*$", "", server)
        gone = self.hosts.get(host)
        if gone is not None and gone not in self.resources:
            raise CloudError(f"configured Kubernetes cluster is unreachable: dial tcp: lookup {host}: no such host")

    # how

    def _effects(self, stored: Stored) -> None:
        """What a resource does to others: a template that sets an endpoint's traffic."""
        if stored.token != "azure-native:resources:Deployment":
            return
        template = plain(stored.inputs).get("properties", {}).get("template") or {}
        for one in template.get("resources", ()):
            if one.get("type") == "Microsoft.MachineLearningServices/workspaces/onlineEndpoints":
                end = "/onlineEndpoints/".join(str(one["name"]).split("/"))
                for endpoint in self.of("azure-native:machinelearningservices:OnlineEndpoint"):
                    if endpoint.id.endswith(end):
                        endpoint.extra["traffic"] = one.get("properties", {}).get("traffic") or {}

    def _happened(self, operation: str, stored: Stored) -> None:
        self.log.append(Happening(operation, stored.token, stored.name, stored.id))

    def _require_free(self, token: str, name: str, identifier: str, inputs: dict[str, Any]) -> None:
        if identifier in self._gone_softly:
            raise CloudError(relations.SOFT[token])
        others = [one for one in self.resources.values() if one.token == token]
        said = relations.taken(token, name, identifier, inputs, others) or relations.occupied(token, inputs, others)
        if said:
            self.log.append(Happening("fail", token, name, identifier))
            raise CloudError(said)

    def _fault(self, operation: str, token: str, name: str, timeout: float) -> str | None:
        """Raise what a test asked for; the text of a fault that strikes after the resource is made."""
        for fault in self._faults:
            while fault.fits(operation, token, name):
                fault.times -= 1
                said = faults.text(token, fault.error)
                if fault.error in faults.RETRIED:
                    self.retries += 1
                    continue
                if fault.error == "halfway":
                    return said
                if fault.error == "slow":
                    self.waited += min(timeout or self.slow_operation, self.slow_operation)
                    return said if 0 < timeout < self.slow_operation else None
                self.log.append(Happening("fail", token, name, ""))
                raise CloudError(said)
        return None

    def _looked_up(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """A question after one resource that is there, whether a stack made it or not: `getVpc`, `getVault`."""
        kind = token.rpartition(":")[2].removeprefix("get")
        package = token.split(":")[0]
        wanted = [
            str(value)
            for key, value in arguments.items()
            if isinstance(value, str) and key not in ("region", "project")
        ]
        for one in self.resources.values():
            if one.token.split(":")[0] != package or one.kind != kind:
                continue
            known = (
                {str(value) for value in one.outputs.values()}
                | set(re.split("[/:]", one.id))
                | relations.identities(one)
            )
            if all(value in known for value in wanted):
                return {"id": one.id, **plain(copy.deepcopy(one.outputs))}
        is_known = (
            any(one.kind == kind for one in self.resources.values()) or naming.name_key(f"{package}:{kind}") is not None
        )
        hint = (
            "no such resource in the simulated cloud"
            if is_known
            else "nobody answers it: put it into `answers` or `existing`"
        )
        said = faults.ABSENT.get(package, faults.ABSENT["aws"])
        raise CloudError(f"{token}({arguments}): {said} ({hint})")


_LABELS = (
    ("userLabels", "userLabels"),  # first: what has these uses `labels` for something else
    ("tags", "tagsAll"),
    ("labels", "effectiveLabels"),
    ("resourceLabels", "resourceLabels"),
)
"""Of inputs for tags the output that holds all of them, the provider's own among them."""


def _hosts(stored: Stored) -> list[str]:
    if stored.kind not in ("Cluster", "ManagedCluster"):
        return []
    outputs = plain(stored.outputs)
    dns = ((outputs.get("controlPlaneEndpointsConfig") or {}).get("dnsEndpointConfig") or {}).get("endpoint")
    found = [outputs.get("endpoint"), outputs.get("fqdn"), outputs.get("privateFQDN"), dns]
    return [re.sub(r"^https?://", "", str(one)) for one in found if one]


def _tags(stored: Stored) -> dict[str, Any] | None:
    """The tags or labels of what can carry them."""
    expected = wheels.inputs(stored.token) or {}
    if stored.token.startswith("kubernetes:"):
        return plain((stored.inputs.get("metadata") or {}).get("labels") or {})
    for key, told in _LABELS:
        if key == "tags" and stored.token.startswith("gcp:"):  # tags of Google's resource manager are something else
            continue
        field_ = expected.get(key)
        if field_ is not None and "Mapping" in field_.text:
            return dict(plain(stored.outputs.get(told) or stored.outputs.get(key) or {}))
    return None


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path)]
    at: Any = values
    for step in steps:
        at = at.setdefault(step, {}) if isinstance(at, dict) else at[step]
    if value is None and isinstance(at, dict):
        at.pop(last, None)
    else:
        at[last] = value
