"""The trust file: which EHRs may call, and by which keys their tokens are verified. docs/client-trust.md has one.

SettingsError
  TrustError      the file cannot be used; one line for each fault: file:line, what is wrong, the way out
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from cds.knowledge.source import Item, Reader
from cds.service.fhir.network import BaseUrl
from cds.service.json_input import InvalidJson, parse_json
from cds.service.settings import SettingsError
from cds.service.trust.client import Client
from cds.service.trust.keys import DEFAULT_ALGORITHMS, KNOWN_ALGORITHMS, Key, UnusableKey, key_list, read_key

LONGEST_TOKEN_SECONDS: Final = 86_400

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEYS_GIVEN_BY: Final = ("jwks_url", "jwks_file", "jwks")
CLIENT_KEYS: Final = (
    "name",
    "issuer",
    "tenants",
    *_KEYS_GIVEN_BY,
    "algorithms",
    "fhir_servers",
    "max_token_seconds",
)


class TrustError(SettingsError):
    """The trust file cannot be used; each line names file and line, the problem and the way out."""


@dataclass(frozen=True)
class ListedClient:
    """One entry of the file: who it is, and what its tokens must be like.

    Exactly one of `jwks_url` and `keys` (by key id) is set. `tenants` None: tokens need no tenant and may name any.
    `max_token_seconds` None: as the settings say.
    """

    name: str
    issuer: str
    algorithms: frozenset[str]
    tenants: frozenset[str] | None = None
    fhir_servers: tuple[str, ...] | None = None
    max_token_seconds: int | None = None
    jwks_url: str | None = None
    keys: dict[str, Key] | None = None

    def client(self, tenant: str | None) -> Client:
        return Client(self.name, self.issuer, tenant, self.fhir_servers)


@dataclass(frozen=True)
class TrustFile:
    """The clients, and how to check the certificate of the servers that publish their keys."""

    clients: tuple[ListedClient, ...]
    tls: SSLContext


def load_trust_file(path: Path) -> TrustFile:
    """Read and check the whole file. Raises TrustError with every fault found."""
    reader = Reader()
    top = reader.file(path, path.parent).mapping(("clients", "ca_file"), required=("clients",))
    tls = httpx.create_ssl_context(trust_env=False)
    if "ca_file" in top:
        _add_authority(tls, top["ca_file"], path.parent)
    entries = top["clients"].list() if "clients" in top else []
    clients = [_client(item, path.parent) for item in entries]
    if "clients" in top and not entries:
        top["clients"].problem("list at least one client; without any, nobody could call")
    for what in ("name", "issuer"):
        _report_twice(entries, what)
    if reader.problems:
        faults = sorted(set(reader.problems))
        raise TrustError("\n".join(f"{path}:{fault.line}: {fault.message}" for fault in faults))
    return TrustFile(tuple(clients), tls)


def is_loopback(host: str) -> bool:
    """Whether a host of a URL, or an address, can only mean this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _client(item: Item, folder: Path) -> ListedClient:
    given = item.mapping(CLIENT_KEYS, required=("name", "issuer"))
    name = given["name"].text() if "name" in given else ""
    if "name" in given and not _NAME.fullmatch(name):
        given["name"].problem("a name for logs: up to 64 of a-z, 0-9, '.', '_', '-', such as north-hospital")
    issuer = given["issuer"].text() if "issuer" in given else ""
    if "issuer" in given and (not issuer or re.search(r"\s", issuer)):
        given["issuer"].problem("the exact 'iss' of this client's tokens, such as https://ehr.example.org")
    algorithms = frozenset(DEFAULT_ALGORITHMS)
    if "algorithms" in given:
        algorithms = frozenset(entry.choice(KNOWN_ALGORITHMS) for entry in given["algorithms"].list())
        if not algorithms:
            given["algorithms"].problem(f"list at least one of {', '.join(KNOWN_ALGORITHMS)}, or leave it out")
    url, keys = _keys(item, given, algorithms, folder)
    return ListedClient(
        name=name,
        issuer=issuer,
        algorithms=algorithms,
        tenants=_tenants(given.get("tenants")),
        fhir_servers=_fhir_servers(given.get("fhir_servers")),
        max_token_seconds=_seconds(given.get("max_token_seconds")),
        jwks_url=url,
        keys=keys,
    )


def _tenants(item: Item | None) -> frozenset[str] | None:
    if item is None:
        return None
    tenants = item.texts()
    if not tenants or "" in tenants:
        item.problem("list the tenants whose tokens are accepted, or leave 'tenants' out to accept all")
    return frozenset(tenants)


def _fhir_servers(item: Item | None) -> tuple[str, ...] | None:
    if item is None:
        return None
    for entry in item.list():
        url = entry.text()
        try:
            BaseUrl.parse(url)
        except ValueError:
            entry.problem("a FHIR base URL such as https://ehr.example.org/fhir/R4; http only to loopback")
    return item.texts()


def _seconds(item: Item | None) -> int | None:
    if item is None:
        return None
    seconds = item.number()
    if not 1 <= seconds <= LONGEST_TOKEN_SECONDS or seconds % 1:
        item.problem(f"whole seconds from 1 to {LONGEST_TOKEN_SECONDS}")
        return None
    return int(seconds)


def _keys(
    item: Item, given: dict[str, Item], algorithms: frozenset[str], folder: Path
) -> tuple[str | None, dict[str, Key] | None]:
    """Where this client's keys are: a URL, or the keys themselves."""
    ways = [way for way in _KEYS_GIVEN_BY if way in given]
    if len(ways) != 1:
        found = f"; here are {' and '.join(ways)}" if ways else ""
        item.problem(f"say in exactly one way where the keys are: {', '.join(_KEYS_GIVEN_BY)}{found}")
        return None, None
    place = given[ways[0]]
    if ways[0] == "jwks_url":
        url = place.text()
        if fault := _url_fault(url):
            place.problem(fault)
        return url, None
    jwks: Any = place.plain() if ways[0] == "jwks" else _read_json(place, folder)
    return None, _static_keys(place, jwks, algorithms) if jwks is not None else {}


def _read_json(item: Item, folder: Path) -> Any:
    """The JSON of the file that `item` names, relative to the trust file; None after a problem was reported."""
    try:
        return parse_json((folder / item.text()).read_bytes())
    except OSError as error:
        item.problem(f"cannot be read: {error.strerror}")
    except InvalidJson as error:
        item.problem(f"cannot be read as JSON: {error.problem}")
    return None


def _static_keys(item: Item, jwks: Any, algorithms: frozenset[str]) -> dict[str, Key]:
    """Unlike in a published set, every key that is listed here must be usable: it was put here on purpose."""
    found: dict[str, Key] = {}
    try:
        listed = key_list(jwks)
    except UnusableKey as error:
        item.problem(str(error))
        return found
    if not listed:
        item.problem("the key set is empty; list the public keys of this client")
    for number, jwk in enumerate(listed, 1):
        try:
            key = read_key(jwk, algorithms)
        except UnusableKey as error:
            item.problem(f"key {number}: {error}")
            continue
        if key.kid in found:
            item.problem(f"key {number}: its 'kid' stands twice; each key needs its own")
        found[key.kid] = key
    return found


def _url_fault(url: str) -> str | None:
    """What keeps a URL from being a pinned one; None when it is good."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "not a URL; give one such as https://ehr.example.org/jwks.json"
    if not host or not url.isascii() or re.search(r"[\s\\]", url):
        return "not a URL; give one such as https://ehr.example.org/jwks.json"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        return "must begin with https://; http only to loopback, for trying out"
    if "@" in parts.netloc or "#" in url:
        return "no user name and no #fragment in this URL"
    return None


def _add_authority(tls: SSLContext, item: Item, folder: Path) -> None:
    try:
        tls.load_verify_locations(cafile=folder / item.text())
    except (SSLError, OSError) as error:
        reason = "no certificate in PEM form" if isinstance(error, SSLError) else error.strerror
        item.problem(f"cannot be read: {reason}; give the certificates of your own authority as a PEM file")


def _report_twice(entries: list[Item], what: str) -> None:
    seen: dict[str, int] = {}
    for entry in entries:
        if not entry.is_mapping:
            continue
        for key, item in entry.items():
            if key != what or not item.text():
                continue
            if item.text() in seen:
                way_out = "list its tenants in one entry" if what == "issuer" else "choose another"
                item.problem(f"this {what} stands already in line {seen[item.text()]}; {way_out}")
            seen.setdefault(item.text(), item.place.line)
