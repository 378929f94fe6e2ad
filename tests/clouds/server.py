"""Simulated resource providers: one gRPC server a package, all upon one simulated cloud, attached to the real engine.

The engine finds them through PULUMI_DEBUG_PROVIDERS; no plugin of any cloud is installed or started.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from tests.clouds import computed, naming, schema, wheels
from tests.clouds.answers import UnansweredError
from tests.clouds.cloud import CloudError, HalfMadeError, SimulatedCloud
from tests.clouds.diffs import changes
from tests.clouds.relations import Stored
from tests.clouds.replacement import replaces
from tests.clouds.values import Secret, Unknown, decode, encode, paths, plain
from tests.clouds.world import World

PACKAGES: Final = ("aws", "gcp", "azure-native", "kubernetes", "docker-build", "command")

_ENGINES_OWN: Final = frozenset({"version", "pluginDownloadURL"})
_KIND = provider_pb2.PropertyDiff.Kind


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One package's provider. All its instances share one configuration, the last: an engine that is told to attach starts none."""

    def __init__(self, package: str, cloud: SimulatedCloud) -> None:
        self.package = package
        self.cloud = cloud

    # configuration

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        known = wheels.version(self.package) if self.package in wheels.PACKAGES else "0.0.0"
        return plugin_pb2.PluginInfo(version=f"{known}+simulated")

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": self.package, "description": "simulated"}))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        # The engine adds keys of its own.
        given = {
            key: value for key, value in decode(request.news).items() if key not in ("version", "pluginDownloadURL")
        }
        found = schema.problems(f"pulumi:providers:{self.package}", given)
        failures = [provider_pb2.CheckFailure(reason=f"simulated {self.package}: {problem}") for problem in found]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        before, after = plain(decode(request.old_inputs)), plain(decode(request.news))
        found = changes(before, after)
        strict = [key for key in found if key in ("region", "project", "subscriptionId")]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=strict,
            diffs=list(found),
        )

    def Configure(self, request: Any, context: Any) -> Any:
        given = plain(decode(request.args))
        with self.cloud.lock:
            if (
                given.keys() - _ENGINES_OWN or self.package not in self.cloud.configured
            ):  # a default provider has no configuration
                self.cloud.configured[self.package] = given
        unknown = list(paths(given, Unknown))
        if not unknown:
            with _worded(context):
                self._admit(given)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def _admit(self, given: Mapping[str, Any]) -> None:
        if self.package in ("docker-build", "command"):
            return
        if self.package == "kubernetes":  # its credentials are the cluster's, in a kubeconfig
            self.cloud.require_cluster(given.get("kubeconfig"))
            return
        self.cloud.authorize(self.package)
        allowed = _parsed(given.get("allowedAccountIds"))
        if self.package == "aws" and allowed and self.cloud.world.account not in allowed:
            raise CloudError(f"AWS account ID not allowed: {self.cloud.world.account}")

    def _world(self) -> World:
        given = self.cloud.configured.get(self.package, {})
        world = self.cloud.world
        match self.package:
            case "aws":
                return replace(world, region=given.get("region") or world.region)
            case "gcp":
                return replace(
                    world,
                    project=given.get("project") or world.project,
                    google_region=given.get("region") or world.google_region,
                )
            case _:
                return replace(world, location=given.get("location") or world.location)

    def _require_reach(self) -> None:
        """A project or subscription that the credentials do not reach is refused when something is asked of it."""
        given, world = self.cloud.configured.get(self.package, {}), self.cloud.world
        if self.package == "kubernetes":
            self.cloud.require_cluster(given.get("kubeconfig"))
        project, subscription = given.get("project"), given.get("subscriptionId")
        if self.package == "gcp" and project not in (None, world.project):
            raise CloudError(f"googleapi: Error 403: Permission denied on resource project {project}., forbidden")
        if self.package == "azure-native" and subscription not in (None, world.subscription):
            raise CloudError(
                f'Code="SubscriptionNotFound" Message="The subscription \'{subscription}\' could not be found."'
            )

    # resources

    def Check(self, request: Any, context: Any) -> Any:
        token, name = _token(request.urn), _name(request.urn)
        news, olds = decode(request.news), decode(request.olds)
        seed = bytes(request.randomSeed).hex() if self.cloud.has_chance else ""
        made = self._named(token, name, news, olds, seed)
        failures = [
            provider_pb2.CheckFailure(property=problem.split(": ")[1].split(".")[0], reason=f"simulated {problem}")
            for problem in schema.problems(token, made)
        ]
        return provider_pb2.CheckResponse(inputs=encode(made), failures=failures)

    def _named(self, token: str, name: str, news: dict[str, Any], olds: dict[str, Any], seed: str) -> dict[str, Any]:
        key = naming.name_key(token)
        if token.startswith("kubernetes:"):
            return _kubernetes_name(token, name, news, olds, self._world(), seed)
        if key is not None and news.get(key) is None and key in olds.get(_DEFAULTS, ()):
            news = {**news, key: olds[key]}
            return {**news, _DEFAULTS: [key]}
        made = computed.checked(token, name, news, self._world(), salt=seed)
        return {**made, _DEFAULTS: [key] if key in made and news.get(key) is None else []}

    def Diff(self, request: Any, context: Any) -> Any:
        token = _token(request.urn)
        before, after = plain(decode(request.old_inputs)), plain(decode(request.news))
        found = changes(before, after)
        strict = set(replaces(token, found))
        stored = self.cloud.resources.get((token, request.id))
        told = plain(decode(request.olds))
        for label, value in self._labels(token, after).items():
            if (
                label in told
                and told[label] != plain(value)
                and not any(path.startswith(("tags", "labels")) for path in found)
            ):
                found[label] = "update"
        if stored is not None and stored.is_broken and not found:
            found = {"__broken": "update"}
        key = naming.name_key(token)
        autonamed = key is None or key in after.get(_DEFAULTS, ())
        renamed = self.package != "azure-native" and before.get(key or "") != after.get(key or "")
        is_optional = key is not None and not (wheels.inputs(token) or {key: None}).get(key, _NO_FIELD).is_required
        first = bool(strict) and not autonamed and not renamed and (is_optional or self.package == "azure-native")
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=sorted({path.split(".")[0].split("[")[0] for path in strict}),
            diffs=sorted({path.split(".")[0].split("[")[0] for path in found}),
            deleteBeforeReplace=first,
            detailedDiff={
                path: provider_pb2.PropertyDiff(
                    kind=_KIND.Value(f"{how.upper()}{'_REPLACE' if path in strict else ''}"), inputDiff=True
                )
                for path, how in found.items()
                if not path.startswith("__")
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        token, name = _token(request.urn), _name(request.urn)
        given = decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(
                properties=encode(self._outputs(token, given, computed.planned(token, given)))
            )
        with _worded(context, self._properties):
            self._require_reach()
            stored = self.cloud.create(token, name, given, self._world(), request.timeout, self._labels(token, given))
            return provider_pb2.CreateResponse(id=stored.id, properties=self._properties(stored))

    def Update(self, request: Any, context: Any) -> Any:
        token, name = _token(request.urn), _name(request.urn)
        given = decode(request.news)
        if request.preview:
            kept = _kept(decode(request.olds), decode(request.old_inputs), given)
            return provider_pb2.UpdateResponse(properties=encode(self._outputs(token, given, kept)))
        with _worded(context, self._properties):
            self._require_reach()
            labels = self._labels(token, given)
            stored = self.cloud.update(token, request.id, name, given, self._world(), request.timeout, labels)
            return provider_pb2.UpdateResponse(properties=self._properties(stored))

    def Read(self, request: Any, context: Any) -> Any:
        token = _token(request.urn)
        with _worded(context):
            self._require_reach()
            stored = self.cloud.read(token, request.id)
        if stored is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=stored.id,
            inputs=encode(stored.inputs),
            properties=self._properties(stored),
        )

    def Delete(self, request: Any, context: Any) -> Any:
        with _worded(context):
            self._require_reach()
            self.cloud.delete(_token(request.urn), request.id, _name(request.urn), request.timeout)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        arguments = plain(decode(request.args))
        with _worded(context):
            self._require_reach()
            return provider_pb2.InvokeResponse(
                **{"return": encode(self.cloud.invoke(request.tok, arguments, self._world()))}
            )

    Call = Invoke

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _properties(self, stored: Stored) -> Any:
        return encode(self._outputs(stored.token, stored.inputs, stored.outputs))

    def _outputs(self, token: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """With what the provider adds from its own configuration to tags and labels."""
        told = {key: value for key, value in outputs.items() if key != _DEFAULTS}
        identity = told.get("identity")
        if isinstance(identity, dict) and isinstance(identity.get("userAssignedIdentities"), list):
            # What Azure is given as a list comes back as a map, once it is there.
            told["identity"] = {key: item for key, item in identity.items() if key != "userAssignedIdentities"}
        return told | self._labels(token, inputs)

    def _labels(self, token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        given, known = self.cloud.configured.get(self.package, {}), wheels.outputs(token)
        if self.package == "aws" and "tagsAll" in known:
            default = _parsed(given.get("defaultTags")) or {}
            return {"tagsAll": _merged(default.get("tags") or {}, inputs.get("tags"))}
        if self.package == "gcp" and "effectiveLabels" in known:
            merged = _merged(_parsed(given.get("defaultLabels")) or {}, inputs.get("labels"))
            return {"pulumiLabels": Secret(merged), "effectiveLabels": Secret(merged)}
        return {}


_DEFAULTS: Final = "__defaults"


class _NoField:
    is_required = False


_NO_FIELD: Final = _NoField()


def _kept(told: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs of a planned update: the new inputs, and at every depth what the cloud had told beside the old ones."""
    made = {key: value for key, value in told.items() if key not in before} | dict(after)
    for key, value in after.items():
        was, had = told.get(key), before.get(key)
        if isinstance(value, Mapping) and isinstance(was, Mapping) and isinstance(had, Mapping):
            made[key] = _kept(was, had, value)
    return made


def _merged(default: Any, own: Any) -> Any:
    own = plain(own)
    return own if isinstance(own, Unknown) else {**default, **(own or {})}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value else value


def _token(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _kubernetes_name(
    token: str, name: str, news: dict[str, Any], olds: dict[str, Any], world: World, seed: str
) -> dict[str, Any]:
    metadata = plain(news.get("metadata") or {})
    if isinstance(metadata, Unknown) or metadata.get("name") is not None:
        return {**news, _DEFAULTS: []}
    before = plain(olds.get("metadata") or {})
    if "name" in olds.get(_DEFAULTS, ()):
        news = {**news, "metadata": {**metadata, "name": before["name"]}}
    else:
        news = computed.checked(token, name, news, world, salt=seed)
    return {**news, _DEFAULTS: ["name"]}


@contextmanager
def _worded(context: Any, properties: Any = None) -> Iterator[None]:
    """A refusal of the simulated cloud as the engine expects it; of what is half made with what is there."""
    try:
        yield
    except HalfMadeError as error:
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=error.stored.id,
                properties=properties(error.stored),
                reasons=[str(error)],
                inputs=encode(error.stored.inputs),
            )
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail])
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except (CloudError, UnansweredError) as error:
        context.abort(grpc.StatusCode.UNKNOWN, f"simulated cloud: {error}")


@contextmanager
def serve(cloud: SimulatedCloud) -> Iterator[str]:
    """Run the providers on ports of this machine; gives the value of PULUMI_DEBUG_PROVIDERS."""
    server_ports: list[str] = []
    servers = []
    with futures.ThreadPoolExecutor(max_workers=32) as pool:
        try:
            for package in PACKAGES:
                server = grpc.server(
                    pool, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
                )
                provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(package, cloud), server)
                server_ports.append(f"{package}:{server.add_insecure_port('127.0.0.1:0')}")
                server.start()
                servers.append(server)
            yield ",".join(server_ports)
        finally:
            for server in servers:
                server.stop(grace=None).wait()
