"""Client trust: a call of a CDS service carries a token that a listed EHR signed for this address, once.

authorization header -> token -> listed issuer -> its key -> signature -> claims -> first use -> Client

Every refusal is the same bare 401: which check failed stands in the log only.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeGuard

import jwt
from jwt.utils import base64url_decode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cds.service.answers import note, outcome
from cds.service.json_input import InvalidJson, parse_json
from cds.service.metrics import metrics_of
from cds.service.settings import Settings
from cds.service.trust.client import Client
from cds.service.trust.file import ListedClient, load_trust_file
from cds.service.trust.keys import Key, KeySource, Refresh, RemoteKeys, StaticKeys
from cds.service.trust.refusal import Reason
from cds.service.trust.replay import SeenTokens, StoreUnavailable

PROTECTED: Final = "/cds-services"

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)
# A key inside the token, or an extension that we would have to understand (RFC 7515 sections 4.1.3 to 4.1.6, 4.1.11).
_FORBIDDEN: Final = frozenset({"jwk", "x5c", "x5u", "crit", "b64"})
_LONGEST_TEXT: Final = 512
# No refusal leaves sooner, so that a clock tells little about which check failed.
_REFUSAL_SECONDS: Final = 0.01
_REFUSED_TEXT: Final = "This service answers only clients that it knows; send a valid bearer token."
_UNAVAILABLE_TEXT: Final = "The token cannot be checked at the moment; try again with the same token."


class Refused(Exception):
    """A token that is not accepted; `reason` and the name of the client it claims to be from are for the log."""

    def __init__(self, reason: Reason, client: str | None = None) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.client = client


@dataclass(frozen=True)
class _Listed:
    entry: ListedClient
    keys: KeySource


class Trust:
    """Verifies tokens. `clock` gives Unix seconds: a demo clock that stands still must not stop tokens expiring."""

    def __init__(self, settings: Settings, log: Any, clock: Callable[[], float] = time.time) -> None:
        """Raises TrustError when the trust file has faults."""
        if settings.trust_file is None or settings.public_url is None:
            raise ValueError("client trust needs a trust file and a public URL")
        self.clock = clock
        self._base = settings.public_url.rstrip("/")
        self._skew = settings.token_skew_seconds
        self._max_seconds = settings.token_max_seconds
        self._max_bytes = settings.token_max_bytes
        self._seen = SeenTokens(settings.state_dir)
        refresh = Refresh(settings.jwks_lifetime_seconds, settings.jwks_pause_seconds, settings.jwks_stale_seconds)
        self._background: list[asyncio.Task[None]] = []
        self._log = log

        file = load_trust_file(settings.trust_file)
        self._listed: dict[str, _Listed] = {}
        for entry in file.clients:
            keys: KeySource = StaticKeys(entry.keys or {})
            if entry.jwks_url is not None:
                keys = RemoteKeys(entry.jwks_url, entry.algorithms, refresh, file.tls, self._reporter(entry.name))
            self._listed[entry.issuer] = _Listed(entry, keys)

    @property
    def clients(self) -> list[str]:
        """The names of the clients that are listed."""
        return [listed.entry.name for listed in self._listed.values()]

    def start(self) -> None:
        """Begin to fetch the published keys, so that the first call need not wait; must run in the event loop."""
        sources = [listed.keys for listed in self._listed.values()]
        self._background = [asyncio.create_task(keys.refresh()) for keys in sources if isinstance(keys, RemoteKeys)]

    def check_store(self) -> None:
        """Raises StoreUnavailable when used tokens could not be remembered."""
        self._seen.check()

    async def problem(self) -> str | None:
        """Why no token could be accepted now; None when one could."""
        try:
            await asyncio.to_thread(self.check_store)
        except StoreUnavailable:
            return "unavailable"
        return None

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._seen.close()

    async def verify(self, path: str, authorization: list[str]) -> Client:
        """The client that signed the token for this path. Raises Refused, StoreUnavailable."""
        token = self._bearer(authorization)
        header, claims = _unverified(token)
        issuer = claims.get("iss")
        listed = self._listed.get(issuer) if isinstance(issuer, str) else None
        if listed is None:
            raise Refused("issuer")
        entry = listed.entry
        try:
            key = await self._key(listed, header)
            _verify_signature(token, key, header["alg"])
            tenant = self._check_claims(entry, claims, path)
            await self._use_up(entry, claims)
        except Refused as refused:
            refused.client = entry.name
            raise
        return entry.client(tenant)

    def _bearer(self, authorization: list[str]) -> str:
        if not authorization:
            raise Refused("no-token")
        # Two headers: a proxy in front may have looked at the other one.
        if len(authorization) > 1 or len(authorization[0]) > self._max_bytes:
            raise Refused("malformed")
        found = _BEARER.fullmatch(authorization[0])
        if found is None:
            raise Refused("malformed")
        return found[1]

    async def _key(self, listed: _Listed, header: Mapping[str, Any]) -> Key:
        entry = listed.entry
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
        if _FORBIDDEN & header.keys() or not _is_text(kid) or not _is_text(kind) or kind.lower() != "jwt":
            raise Refused("header")
        # Never followed. Keys that stand in the trust file have no URL that it could disagree with.
        if "jku" in header and entry.jwks_url is not None and header["jku"] != entry.jwks_url:
            raise Refused("header")
        if not isinstance(algorithm, str) or algorithm not in entry.algorithms:
            raise Refused("algorithm")
        key = await listed.keys.find(kid)
        if key is None:
            raise Refused("key")
        if algorithm not in key.algorithms:
            raise Refused("algorithm")
        return key

    def _check_claims(self, entry: ListedClient, claims: Mapping[str, Any], path: str) -> str | None:
        """The tenant, when everything that the token says about itself is acceptable now and here."""
        if not self._is_for_us(claims.get("aud"), path):
            raise Refused("audience")
        now = self.clock()
        expires, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
        if expires is None or issued is None or not _is_text(claims.get("jti")):
            raise Refused("claims")
        if now >= expires + self._skew:
            raise Refused("expired")
        if issued > now + self._skew:
            raise Refused("not-yet-valid")
        if "nbf" in claims:
            begins = _seconds(claims["nbf"])
            if begins is None:
                raise Refused("claims")
            if begins > now + self._skew:
                raise Refused("not-yet-valid")
        longest = entry.max_token_seconds or self._max_seconds
        if expires - issued > longest or expires - now > longest + self._skew:
            raise Refused("lifetime")
        tenant = claims.get("tenant")
        if tenant is not None and not _is_text(tenant):
            raise Refused("claims")
        if entry.tenants is not None and tenant not in entry.tenants:
            raise Refused("tenant")
        return tenant

    def _is_for_us(self, audience: Any, path: str) -> bool:
        called = {self._base + path}
        if path.rstrip("/") == PROTECTED:
            # Discovery is one resource, with and without its last slash.
            called = {self._base + PROTECTED, self._base + PROTECTED + "/"}
        named = audience if isinstance(audience, list) else [audience]
        return any(isinstance(url, str) and url in called for url in named)

    async def _use_up(self, entry: ListedClient, claims: Mapping[str, Any]) -> None:
        # After the expiry and its skew the token is refused anyway.
        forget = int(claims["exp"]) + self._skew + 1
        if not await self._seen.is_first_use(entry.issuer, claims["jti"], forget, int(self.clock())):
            raise Refused("replay")

    def _reporter(self, name: str) -> Callable[[str | None], None]:
        def report(fault: str | None) -> None:
            if fault is None:
                self._log.info("keys fetched", client=name)
            else:
                self._log.warning("keys not fetched", client=name, error=fault)

        return report


class ClientTrust:
    """ASGI middleware: a request under /cds-services passes with a good token only."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        self._app = app
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_protected(scope["path"]):
            began = time.monotonic()
            try:
                client = await self._trust.verify(scope["path"], Headers(scope=scope).getlist("authorization"))
            except Refused as refused:
                note(scope, refused=refused.reason, client=refused.client)
                metrics_of(scope).count_refusal(refused.reason)
                await asyncio.sleep(max(0.0, began + _REFUSAL_SECONDS - time.monotonic()))
                answer = outcome(401, "login", _REFUSED_TEXT, {"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
            except StoreUnavailable as unavailable:
                cause = unavailable.__cause__ or unavailable
                note(scope, refused="store-unavailable", error=type(cause).__name__)
                metrics_of(scope).count_refusal("store-unavailable")
                answer = outcome(503, "transient", _UNAVAILABLE_TEXT, {"Retry-After": "5"})
                await answer(scope, receive, send)
                return
            scope["prenatal_cds"]["client"] = client
            note(scope, client=client.name)
        await self._app(scope, receive, send)


def _is_protected(path: str) -> bool:
    return path == PROTECTED or path.startswith(PROTECTED + "/")


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, strictly read: with two members of one name, two readers could see two tokens."""
    parts: list[dict[str, Any]] = []
    with suppress(ValueError, InvalidJson):
        for segment in token.split(".")[:2]:
            part = parse_json(base64url_decode(segment))
            if isinstance(part, dict):
                parts.append(part)
    if len(parts) != 2:
        raise Refused("malformed")
    return parts[0], parts[1]


def _verify_signature(token: str, key: Key, algorithm: str) -> None:
    """By the algorithm that the trust file allows this client and this key, which the header only repeats."""
    try:
        jwt.PyJWS().decode(token, key.public, algorithms=[algorithm])
    except jwt.PyJWTError:
        raise Refused("signature") from None


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT


def _seconds(value: Any) -> float | None:
    """A NumericDate (RFC 7519 section 2) as a number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return float(value)
