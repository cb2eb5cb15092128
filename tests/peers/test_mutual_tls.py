"""nginx as docs/examples/nginx-mtls.conf sets it up: only clients with a certificate of the right authority come in."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cds.service import create_app, load_settings
from tests.peers.installed import command
from tests.service.conftest import running
from tests.service.trusting import NORTH, bearer, claims, elliptic, token, write_trust_file

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "docs" / "examples" / "nginx-mtls.conf"
CALL = ROOT / "fixtures" / "requests" / "cramps-in-late-pregnancy.json"
START = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
EHR = elliptic("north-1")


@dataclass(frozen=True)
class Authority:
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder(name, name, key).add_extension(x509.BasicConstraints(True, None), critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = certificate.add_extension(own, critical=False)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return cls(name, key, certificate.add_extension(usage, critical=True).sign(key, hashes.SHA256()))

    def issue(self, folder: Path, name: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 under this name, and its key, as PEM files."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = _builder(name, self.name, key).add_extension(address, critical=False)
        # Python 3.13 asks for the link to the authority's key.
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(authority, critical=False)
        issued = builder.add_extension(x509.BasicConstraints(False, None), critical=True).sign(
            self.key, hashes.SHA256()
        )
        certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(issued.public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path


def _builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return x509.CertificateBuilder(
        named(issuer), named(name), key.public_key(), x509.random_serial_number(), START, START + datetime.timedelta(2)
    )


@dataclass(frozen=True)
class Front:
    """nginx in front of the service, and clients of it by the certificate they show."""

    url: str
    client: Callable[[str | None], httpx.Client]


def _configuration(folder: Path, port: int, service: str) -> str:
    """The file of the documentation with the paths and ports of this test; each must be there to be replaced."""
    text = CONFIGURATION.read_text("utf-8")
    for found, ours in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server 127.0.0.1:8000", f"server {service}"),
        ("/etc/prenatal-cds/tls", str(folder)),
        ("/var/log/nginx/", f"{folder}/"),
        ("/var/lib/nginx/", f"{folder}/"),
        ("/run/", f"{folder}/"),
    ):
        assert found in text
        text = text.replace(found, ours)
    return "daemon off;\n" + text


@pytest.fixture(scope="module", params=["certificate only", "certificate and token"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    nginx = command("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    servers, clients, others = (Authority.new(name) for name in ("servers", "clients", "others"))
    servers.issue(folder, "server")
    clients.issue(folder, "ehr")
    others.issue(folder, "stranger")
    clients.write(folder / "clients-ca.pem")
    root = servers.write(folder / "servers-ca.pem")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"https://localhost:{port}"
    given: dict[str, Any] = {"public_url": url, "state_dir": folder / "state", "log_level": "error"}
    given["fixed_now"] = (ROOT / "fixtures" / "now.txt").read_text("utf-8").strip()
    if request.param == "certificate and token":
        listed = {"name": "north", "issuer": NORTH, "jwks": {"keys": [EHR.jwk()]}}
        given["trust_file"] = write_trust_file(folder, listed)

    with ExitStack() as stack:
        service = stack.enter_context(running(create_app(load_settings(given))))
        path = folder / "nginx.conf"
        path.write_text(_configuration(folder, port, service.removeprefix("http://")), "utf-8")
        process = subprocess.Popen(
            [nginx, "-p", str(folder), "-e", "stderr", "-c", str(path)], stderr=subprocess.PIPE, text=True
        )

        def client(name: str | None) -> httpx.Client:
            context = ssl.create_default_context(cafile=root)
            if name is not None:
                context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
            return stack.enter_context(httpx.Client(base_url=url, verify=context, trust_env=False, timeout=20))

        try:
            _wait(port, process)
            yield Front(url, client)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _wait(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"nginx ended: {process.communicate()[1]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("nginx did not listen within 15 seconds")


def _headers(front: Front, path: str) -> dict[str, str]:
    """A token for the address of nginx; the service without trust file does not look at it."""
    return bearer(token(EHR, claims(aud=front.url + path)))


def test_a_client_with_a_certificate_of_the_authority_gets_discovery_and_cards(front: Front) -> None:
    ehr = front.client("ehr")
    answer = ehr.get("/cds-services", headers=_headers(front, "/cds-services"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["server"] == "nginx", "no version is told"
    services = {entry["hook"]: entry["id"] for entry in answer.json()["services"]}
    call = json.loads(CALL.read_bytes())
    path = f"/cds-services/{services[call['hook']]}"
    answer = ehr.post(path, json=call, headers=_headers(front, path))
    assert answer.status_code == 200, answer.text
    assert answer.json()["cards"]


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_client_without_such_a_certificate_never_reaches_the_service(front: Front, name: str | None) -> None:
    try:
        answer = front.client(name).get("/cds-services", headers=_headers(front, "/cds-services"))
    except httpx.TransportError:
        return  # nginx may also end the handshake
    assert answer.status_code == 400
    assert "certificate" in answer.text
    assert "X-Request-Id" not in answer.headers, "the service would have set it"


def test_a_certificate_does_not_stand_in_for_a_token(front: Front, request: pytest.FixtureRequest) -> None:
    answer = front.client("ehr").get("/cds-services")
    assert answer.status_code == (401 if "token" in request.node.callspec.id else 200)


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics", "/metrics%0A", "/x/../metrics", "/metrics/"])
def test_no_client_reads_the_counts_of_the_others(front: Front, path: str) -> None:
    answer = front.client("ehr").get(front.url + path)
    assert answer.status_code in (401, 404)
    assert "prenatal_cds" not in answer.text
