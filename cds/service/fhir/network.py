"""Where a token may go: FHIR servers that the operator listed, at addresses that were checked.

The address of the FHIR server comes in with the request, so whoever can send one chooses it. Three guards:
- `BaseUrl` compares scheme, host, port and path with the list, and refuses every spelling that two programs could
  read in two ways;
- `resolve` refuses addresses inside the own network, unless they were listed as such;
- `Pinned` opens connections to the checked addresses only, so that a name that changes its address gains nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpcore

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9\-._]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9\-._~]+)*)/?(?P<query>\?[\x21\x24-\x3b\x3d\x3f-\x7e]*)?",
    re.IGNORECASE,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # what the URL standard takes for the end of an IPv4 address
_NAT64: Final = IPv6Network("64:ff9b::/96")


class NotAllowed(Exception):
    """An address to which nothing may be sent."""


@dataclass(frozen=True)
class BaseUrl:
    """The base URL of a FHIR server, in one spelling only: lower case host, a port, a path without slash at the end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> BaseUrl:
        """Read a base URL. Raises ValueError with the reason; it holds nothing of the URL."""
        base, target = _parse(url)
        if "?" in target:
            raise ValueError("a base URL has no query")
        if base.scheme == "http" and not (base.host == "localhost" or (base.literal and base.literal.is_loopback)):
            raise ValueError("http only to this machine (127.0.0.1, [::1], localhost); use https")
        return base

    @property
    def literal(self) -> Address | None:
        """The address that the host is, when it is no name."""
        return _literal(self.host)

    def covers(self, other: BaseUrl) -> bool:
        """Whether the other is the same server at the same path, or below it."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same and (other.path + "/").startswith(self.path + "/")

    def target_of(self, url: str) -> str | None:
        """Path and query of an absolute URL (a next link), or None unless it lies on this server under this base."""
        try:
            other, target = _parse(url)
        except ValueError:
            return None
        return target if self.covers(other) else None

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def _parse(url: str) -> tuple[BaseUrl, str]:
    """Base, and all that follows the host. No user, fragment or percent sign in the path, no empty or dot segment."""
    found = _URL.fullmatch(url)
    if found is None or len(url) > 8000:
        raise ValueError("not a plain URL such as https://ehr.example.org/fhir")
    scheme, host = found["scheme"].lower(), found["host"].lower().strip("[]")
    if any(segment in (".", "..") for segment in found["path"].split("/")):
        raise ValueError("a path with . or ..")
    if _NUMBER.fullmatch(host.split(".")[-1]) or ":" in host or ".." in host:
        # 127.1, 2130706433 and 0x7f000001 are addresses to some resolvers; only the full form is one to all.
        literal = _literal(host)
        if literal is None:
            raise ValueError("the host is neither a name nor a whole IP address")
        host = str(literal)
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise ValueError("a port from 1 to 65535")
    return BaseUrl(scheme, host, port, found["path"]), url[found.start("path") :]


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def listed(servers: Iterable[str], url: str) -> BaseUrl | None:
    """The base URL that a request names, if one of the listed servers covers it."""
    try:
        wanted = BaseUrl.parse(url)
    except ValueError:
        return None
    return wanted if any(BaseUrl.parse(server).covers(wanted) for server in servers) else None


def may_connect(base: BaseUrl, address: Address, networks: Sequence[Network]) -> bool:
    """Whether a listed server may be reached at this address.

    An address on the public Internet: yes. One that was itself listed, loopback of `localhost`, or one in ``networks``:
    yes, because the operator said so. Link-local (where clouds answer with their secrets), multicast and unspecified
    addresses: never.
    """
    meant = _embedded(address)
    if any(a.is_link_local or a.is_multicast or a.is_unspecified for a in meant):
        return False
    if base.literal == address or (base.host == "localhost" and address.is_loopback):
        return True
    return all(a.is_global or any(a in network for network in networks) for a in meant)


def _embedded(address: Address) -> tuple[Address, ...]:
    """The address and every IPv4 address that the network may turn it into."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address, address.sixtofour)
    if address in _NAT64:
        return (address, IPv4Address(int(address) & 0xFFFFFFFF))
    return (address,)


async def look_up(host: str, port: int) -> list[str]:
    """Every address of a host, by the resolver of the machine. Raises OSError and UnicodeError."""
    loop = asyncio.get_running_loop()
    return [str(row[4][0]) for row in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def checked(base: BaseUrl, found: Iterable[str], networks: Sequence[Network]) -> tuple[str, ...]:
    """The addresses to use, in order. One bad address spoils all: a name that mixes them is an attack.

    Raises NotAllowed.
    """
    addresses = [ip_address(text) for text in found]
    if not addresses or not all(may_connect(base, address, networks) for address in addresses):
        raise NotAllowed
    return tuple(dict.fromkeys(map(str, addresses)))


class Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the checked addresses of one server, in turn, and to nothing else; asks no resolver."""

    def __init__(self, base: BaseUrl, addresses: Sequence[str]) -> None:
        self._base = base
        self._addresses = addresses
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if (host, port) != (self._base.host, self._base.port):
            raise NotAllowed
        share = None if timeout is None else timeout / len(self._addresses)
        for address in self._addresses[:-1]:
            try:
                return await self._sockets.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(self._addresses[-1], port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)
