"""Public keys of clients: read from a JSON Web Key Set (RFC 7517), held in memory, fetched from one pinned URL.

ValueError
  UnusableKey     a key that may not verify tokens; its text names no part of the key
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final, Protocol

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from cds.service.json_input import parse_json

PublicKey = EllipticCurvePublicKey | RSAPublicKey

DEFAULT_ALGORITHMS: Final = ("ES384", "RS384")
KNOWN_ALGORITHMS: Final = ("ES384", "RS384", "ES256", "RS256")

_CURVES: Final = {"P-384": "ES384", "P-256": "ES256"}
_PUBLIC_MEMBERS: Final = {"EC": ("crv", "x", "y"), "RSA": ("n", "e")}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS: Final = range(2048, 8193)
_MOST_KEYS: Final = 100
_MOST_BYTES: Final = 1_000_000
_FETCH_SECONDS: Final = 2.0


class UnusableKey(ValueError):
    """Why a key may not verify tokens, without any part of the key."""


@dataclass(frozen=True)
class Key:
    """A public key and the algorithms (of those the client may use) that it verifies."""

    kid: str
    algorithms: frozenset[str]
    public: PublicKey


class KeySource(Protocol):
    """Where the keys of one client come from."""

    async def find(self, kid: str) -> Key | None:
        """The key of that id, or None."""
        ...


@dataclass(frozen=True)
class StaticKeys:
    """Keys that stand in the trust file or in a file beside it."""

    keys: Mapping[str, Key]

    async def find(self, kid: str) -> Key | None:
        return self.keys.get(kid)


@dataclass(frozen=True)
class Refresh:
    """When keys are fetched anew, in seconds: age of a usable set, least pause between two fetches, and how much
    longer a set is used while its URL does not answer.
    """

    lifetime: float
    pause: float
    stale: float


class RemoteKeys:
    """The key set at one URL: fetched when it is first needed, when it is old, and for a key id it does not have.

    One fetch at a time, and never more often than `refresh.pause`, however many unknown key ids arrive. A fetch
    that fails leaves the keys as they were. `report` gets the class name of what went wrong, or None.
    """

    def __init__(
        self,
        url: str,
        algorithms: Collection[str],
        refresh: Refresh,
        tls: SSLContext,
        report: Callable[[str | None], None],
    ) -> None:
        self._url = url
        self._algorithms = algorithms
        self._refresh = refresh
        self._tls = tls
        self._report = report
        self._keys: Mapping[str, Key] = {}
        self._fetched = -float("inf")
        self._asked = -float("inf")
        self._running: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Key | None:
        if kid not in self._keys or self._age() > self._refresh.lifetime:
            await self.refresh()
        if self._age() > self._refresh.lifetime + self._refresh.stale:
            return None
        return self._keys.get(kid)

    async def refresh(self) -> None:
        """Fetch the set, or wait for the fetch that runs; does nothing within the pause after the last one."""
        if self._running is None:
            if time.monotonic() - self._asked < self._refresh.pause:
                return
            self._asked = time.monotonic()
            self._running = asyncio.create_task(self._replace())
        # Shielded: a client that hangs up must not end the fetch that others wait for.
        await asyncio.shield(self._running)

    def _age(self) -> float:
        return time.monotonic() - self._fetched

    async def _replace(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                body = await self._fetch()
            self._keys = read_key_set(parse_json(body), self._algorithms)
            self._fetched = time.monotonic()
            self._report(None)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._report(type(error).__name__)
        finally:
            self._running = None

    async def _fetch(self) -> bytes:
        """The body, as it was sent: a compressed one could grow a thousandfold. Redirects are not followed."""
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=_FETCH_SECONDS) as http,
            http.stream("GET", self._url, headers=headers) as answer,
        ):
            if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
                raise UnusableKey("the key set URL does not answer 200 with a plain body")
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise UnusableKey("the key set is too large")
        return bytes(body)


def read_key_set(jwks: Any, algorithms: Collection[str]) -> dict[str, Key]:
    """The keys of a published set that may verify tokens, by key id.

    Others in it are passed over: a set may hold keys for other uses. Two usable keys of one id are both left out,
    because a token cannot say which of them it means. Raises UnusableKey when it is no key set or has more than
    100 keys.
    """
    listed = key_list(jwks)
    found: dict[str, Key] = {}
    twice: set[str] = set()
    for jwk in listed:
        try:
            key = read_key(jwk, algorithms)
        except UnusableKey:
            continue
        if key.kid in found:
            twice.add(key.kid)
        found[key.kid] = key
    return {kid: key for kid, key in found.items() if kid not in twice}


def key_list(jwks: Any) -> list[Any]:
    """The `keys` of a JSON Web Key Set. Raises UnusableKey when there is no such list, or one of more than 100."""
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(listed, list):
        raise UnusableKey("not a key set; it needs a list 'keys'")
    if len(listed) > _MOST_KEYS:
        raise UnusableKey(f"more than {_MOST_KEYS} keys; publish only those in use")
    return listed


def read_key(jwk: Any, algorithms: Collection[str]) -> Key:
    """The public key of a JSON Web Key that verifies tokens by at least one of `algorithms`.

    Raises UnusableKey for a private or symmetric key, one for another use or algorithm, another curve, an RSA key
    of less than 2048 or more than 8192 bits, and one that is no key at all.
    """
    if not isinstance(jwk, dict):
        raise UnusableKey("a key is a JSON object")
    if _PRIVATE_MEMBERS & jwk.keys():
        raise UnusableKey("this is a private or secret key; it is no secret any more: make a new pair, list the public")
    kid, kind = jwk.get("kid"), jwk.get("kty")
    if not isinstance(kid, str) or not kid:
        raise UnusableKey("the key has no 'kid'; tokens name their key by it")
    if kind not in ("EC", "RSA"):
        raise UnusableKey("'kty' must be EC or RSA")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey("'use' must be sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("'key_ops' must contain verify")
    possible = _fitting(kind, jwk.get("crv")) & set(algorithms)
    if "alg" in jwk:
        possible &= {str(jwk["alg"])}
    if not possible:
        raise UnusableKey(f"the key fits none of the algorithms of this client ({', '.join(sorted(algorithms))})")
    return Key(kid, frozenset(possible), _public_key(kind, jwk))


def _fitting(kind: str, curve: Any) -> set[str]:
    if kind == "RSA":
        return {"RS384", "RS256"}
    return {_CURVES[curve]} if isinstance(curve, str) and curve in _CURVES else set()


def _public_key(kind: str, jwk: Mapping[str, Any]) -> PublicKey:
    members = {name: jwk.get(name) for name in _PUBLIC_MEMBERS[kind]}
    if not all(isinstance(value, str) for value in members.values()):
        raise UnusableKey(f"{kind} keys need {', '.join(members)}, each as text")
    reader = ECAlgorithm if kind == "EC" else RSAAlgorithm
    try:
        key = reader.from_jwk({"kty": kind, **members})
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, OverflowError):
        raise UnusableKey("the numbers of this key make no public key") from None
    if isinstance(key, RSAPublicKey) and key.key_size not in _RSA_BITS:
        raise UnusableKey(f"an RSA key has {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits; this one {key.key_size}")
    if not isinstance(key, EllipticCurvePublicKey | RSAPublicKey):
        raise UnusableKey("the numbers of this key make no public key")
    return key
