"""Resource ids of what the settings name by its address: buckets (`az://account/container`), the registry (`ours.azurecr.io`) and the key
(`https://ours.vault.azure.net/keys/data`).

An address tells neither subscription nor resource group, so the subscription's accounts and registries are listed. With its id a thing
can be looked at in a preview and rights can be given on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.azure.asking import Answers
from infra.azure.names import KINDS, Kind, Names, is_key_url, vault_and_name
from infra.context import Context

_STORAGE = ("Microsoft.Storage/storageAccounts", "2023-05-01")
_VAULTS = ("Microsoft.KeyVault/vaults", "2023-07-01")
_REGISTRIES = ("Microsoft.ContainerRegistry/registries", "2023-07-01")


@dataclass(frozen=True)
class Located:
    """What was found.

    Args:
        ids: resource id by the address that the settings give; without what could not be asked for.
        mistakes: each as one sentence with setting, value and what would work.
    """

    ids: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def locate(context: Context, answers: Answers) -> Located:
    """Look up every address that the settings give; asks nothing where they give none."""
    names = Names(context)
    found = Located({}, [])
    given: list[tuple[Kind, str]] = [(kind, url) for kind in KINDS if (url := names.bucket_given(kind)) is not None]
    if given:
        accounts = answers.listed(f"{names.subscription}/providers/{_STORAGE[0]}", _STORAGE[1], "the storage accounts")
        for kind, url in given if accounts is not None else ():
            _bucket(context, answers, found, (f"skylift:buckets.{kind}", url), accounts or [])
    if context.settings.registry is not None and names.registry_id is None:
        path = f"{names.subscription}/providers/{_REGISTRIES[0]}"
        registries = answers.listed(path, _REGISTRIES[1], "the container registries")
        if registries is not None:
            _registry(context, found, names, registries)
    if is_key_url(context.encryption_key):
        _key(context, answers, found)
    return found


def _bucket(
    context: Context, answers: Answers, found: Located, setting: tuple[str, str], accounts: list[dict[str, Any]]
) -> None:
    key, url = setting
    name, _, container = url.removeprefix("az://").strip("/").partition("/")
    account = next((one for one in accounts if str(one.get("name", "")).lower() == name.lower()), None)
    if account is None:
        found.mistakes.append(
            f"{key} = {url!r}: subscription {context.account} has no storage account {name!r}; name one of its own "
            "(`az storage account list --output table`), or leave it out and one is made"
        )
        return
    if _place(account) not in ("", context.region):
        found.mistakes.append(
            f"{key} = {url!r} is in {account['location']}, and skylift:region is {context.region}: what runs would read it from afar"
        )
        return
    id_ = f"{account['id']}/blobServices/default/containers/{container}"
    if answers.there(id_, _STORAGE[1]) is False:
        found.mistakes.append(
            f"{key} = {url!r}: account {name!r} has no container {container!r}; make it "
            f"(`az storage container create --account-name {name} --name {container} --auth-mode login`), or name another"
        )
        return
    found.ids[url] = id_


def _registry(context: Context, found: Located, names: Names, registries: list[dict[str, Any]]) -> None:
    host = names.registry_host.lower()
    there = next((one for one in registries if _host(one) == host), None)
    if there is None:
        found.mistakes.append(
            f"skylift:registry = {context.settings.registry!r}: subscription {context.account} has no registry {host!r}; name one of "
            "its own (`az acr list --output table`), or leave it out and one is made"
        )
        return
    if _place(there) not in ("", context.region):
        pulumi.log.warn(
            f"skylift:registry is in {there['location']}, and skylift:region is {context.region}: pulls take longer and their traffic "
            "is billed, unless it is replicated there"
        )
    found.ids[names.registry_scope] = str(there["id"])


def _key(context: Context, answers: Answers, found: Located) -> None:
    """Rights on a key are given by its id, so one that cannot be looked up cannot be used."""
    url = context.encryption_key
    vault, key = vault_and_name(url)
    path = f"/subscriptions/{context.account}/providers/{_VAULTS[0]}"
    listed = answers.listed(path, _VAULTS[1], "the key vaults")
    there = next((one for one in listed or () if str(one.get("name", "")).lower() == vault), None)
    if there is not None:
        found.ids[url] = f"{there['id']}/keys/{key}"
    elif listed is None:
        found.mistakes.append(
            f"skylift:encryption_key = {url!r}: Azure did not tell where that vault is; give the key's resource id, /subscriptions/…"
        )
    else:
        found.mistakes.append(
            f"skylift:encryption_key = {url!r}: subscription {context.account} has no key vault {vault!r}; name a key of one of its own "
            "(`az keyvault list --output table`), or `stack`, and one is made"
        )


def _host(registry: dict[str, Any]) -> str:
    server = (registry.get("properties") or {}).get("loginServer")
    return str(server or f"{registry.get('name')}.azurecr.io").lower()


def _place(resource: dict[str, Any]) -> str:
    return str(resource.get("location", "")).replace(" ", "").lower()
