"""EHRs of the tests: real keys, real tokens, and a server that publishes key sets and can misbehave."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PUBLIC_URL = "https://cds.example.org"
DISCOVERY = f"{PUBLIC_URL}/cds-services"
NORTH = "https://ehr.north.example"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A key pair of an EHR, under a key id."""

    kid: str
    private: PrivateKey

    def jwk(self) -> dict[str, Any]:
        """The public key as it is published."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            found = RSAAlgorithm.to_jwk(public, as_dict=True)
        else:
            found = ECAlgorithm.to_jwk(public, as_dict=True)
        return {"kid": self.kid, **found}


def elliptic(kid: str, curve: ec.EllipticCurve | None = None) -> Pair:
    return Pair(kid, ec.generate_private_key(curve or ec.SECP384R1()))


def rsa_pair(kid: str, bits: int = 2048) -> Pair:
    return Pair(kid, rsa.generate_private_key(65537, bits))


def claims(now: float | None = None, **changes: Any) -> dict[str, Any]:
    """Good claims for discovery, with changes on top; a change to `...` leaves the claim out."""
    issued = int(time.time() if now is None else now)
    good: dict[str, Any] = {
        "iss": NORTH,
        "aud": DISCOVERY,
        "iat": issued,
        "exp": issued + 300,
        "jti": str(uuid.uuid4()),
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def token(pair: Pair, body: dict[str, Any], algorithm: str = "ES384", **header: Any) -> str:
    """A signed token; a header member `...` is left out."""
    members = {"kid": pair.kid, "typ": "JWT"} | header
    left_out = [name for name, value in members.items() if value is ...]
    if "typ" in left_out:
        members["typ"] = None
    given = {name: value for name, value in members.items() if value is not ...}
    return jwt.encode(body, pair.private, algorithm, headers=given)


def bearer(signed: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed}"}


def write_trust_file(folder: Path, *clients: dict[str, Any]) -> Path:
    """A trust file with these clients; JSON is YAML."""
    path = folder / "trust.yaml"
    path.write_text(json.dumps({"clients": list(clients)}), "utf-8")
    return path


@dataclass
class Publisher:
    """What the key set server answers next, and how often it was asked."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    body: bytes | None = None
    status: int = 200
    delay: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self) -> bytes:
        return json.dumps({"keys": self.keys}).encode() if self.body is None else self.body


@contextmanager
def publishing() -> Iterator[Publisher]:
    """A key set server on loopback; what it answers can be changed while it runs."""
    publisher = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            publisher.asked.append(self.path)
            time.sleep(publisher.delay)
            body = publisher.answer()
            try:
                self.send_response(publisher.status)
                for name, value in publisher.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the service hung up, which is what some tests want

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    publisher.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
