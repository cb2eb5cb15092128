"""The trust file: the example of the documentation loads, and each fault is named with its line."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette

from cds.service import SettingsError, create_app, load_settings
from cds.service.trust.file import CLIENT_KEYS, TrustError, load_trust_file
from cds.service.trust.refusal import Reason
from tests.service.trusting import PUBLIC_URL, elliptic, rsa_pair

PAGE = Path(__file__).parents[2] / "docs" / "client-trust.md"
PUBLIC = elliptic("one").jwk()
KEYS = json.dumps({"keys": [PUBLIC]})
START = "clients:\n  - name: north\n    issuer: https://ehr.north.example\n"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_example_of_the_documentation_loads(tmp_path: Path) -> None:
    (example,) = _blocks("yaml")
    path = tmp_path / "trust.yaml"
    path.write_text(example, "utf-8")
    north, south = load_trust_file(path).clients
    assert (north.name, north.jwks_url) == ("north-hospital", "https://ehr.north.example/cds-hooks/jwks.json")
    assert north.tenants == frozenset({"maternity", "outpatients"})
    assert north.algorithms == frozenset({"ES384", "RS384"})
    assert north.client("maternity").fhir_servers == ("https://ehr.north.example/fhir/R4",)
    assert (south.max_token_seconds, south.algorithms, south.tenants) == (900, frozenset({"ES384"}), None)
    assert south.keys is not None
    assert set(south.keys) == {"south-2026"}


def test_every_key_of_the_file_and_every_cause_in_the_log_is_documented() -> None:
    text = PAGE.read_text("utf-8")
    assert [key for key in CLIENT_KEYS if f"| `{key}` |" not in text] == []
    assert [reason for reason in get_args(Reason) if f"`{reason}`" not in text] == []


def test_the_commands_of_the_documentation_make_a_key_and_a_token_that_opens_discovery(
    tmp_path: Path, serving: Callable[[Starlette], AbstractContextManager[str]]
) -> None:
    _, make_key, ask = _blocks("sh")
    path = tmp_path / "trust.yaml"
    path.write_text("clients: [{name: me, issuer: 'urn:me', jwks_file: me.jwks.json}]", "utf-8")

    def run(script: str) -> str:
        script = script.replace("python -", f"{shlex.quote(sys.executable)} -")
        done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(make_key)
    settings = load_settings(
        {"trust_file": path, "public_url": PUBLIC_URL, "state_dir": tmp_path, "log_level": "error"}
    )
    with serving(create_app(settings)) as url:
        curl = ask.rpartition("curl -s ")[2]
        assert "/cds-services" in curl
        token = run(ask.rpartition("curl")[0] + 'echo "$token"').strip()
        answer = httpx.get(f"{url}/cds-services", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 200


def _static(*keys: dict[str, Any]) -> str:
    return START + f"    jwks: {json.dumps({'keys': keys})}"


FAULTS: dict[str, tuple[str, int, str]] = {
    "not YAML": ("clients: [", 1, "not readable as YAML"),
    "no clients": ("{}", 1, "'clients' is missing"),
    "an empty list": ("clients: []", 1, "list at least one client"),
    "a list instead of a mapping": ("- name: north", 1, "a mapping"),
    "an unknown key": (START + f"    jwks: {KEYS}\n    tenant: [a]", 5, "did you mean 'tenants'?"),
    "an unknown key at the top": (f"trust: 1\n{START}    jwks: {KEYS}", 1, "unknown key"),
    "a key twice": (START + f"    issuer: https://b.example\n    jwks: {KEYS}", 4, "stands twice"),
    "no issuer": (f"clients:\n  - name: north\n    jwks: {KEYS}", 2, "'issuer' is missing"),
    "an issuer with a space": (f"clients:\n  - name: a\n    issuer: a b\n    jwks: {KEYS}", 3, "the exact 'iss'"),
    "a name that is no word for logs": (
        f"clients:\n  - issuer: a\n    name: A b\n    jwks: {KEYS}",
        3,
        "north-hospital",
    ),
    "an issuer of two clients": (
        START + f"    jwks: {KEYS}\n  - name: b\n    issuer: https://ehr.north.example\n    jwks: {KEYS}",
        6,
        "already in line 3; list its tenants in one entry",
    ),
    "a name of two clients": (
        START + f"    jwks: {KEYS}\n  - name: north\n    issuer: https://b.example\n    jwks: {KEYS}",
        5,
        "already in line 2",
    ),
    "no keys": (START, 2, "exactly one way"),
    "keys in two ways": (
        START + f"    jwks: {KEYS}\n    jwks_url: https://a.example/j",
        2,
        "here are jwks_url and jwks",
    ),
    "a key URL of plain http": (START + "    jwks_url: http://ehr.north.example/jwks", 4, "must begin with https://"),
    "a key URL to a name like loopback": (START + "    jwks_url: http://127.0.0.1.evil.example/j", 4, "https://"),
    "a key URL with a password": (START + "    jwks_url: https://a:b@ehr.example/jwks", 4, "no user name"),
    "a key URL with a fragment": (START + "    jwks_url: https://ehr.example/jwks#a", 4, "#fragment"),
    "a key URL of a file": (START + "    jwks_url: file:///etc/passwd", 4, "not a URL"),
    "a key URL with a bad port": (START + "    jwks_url: https://ehr.example:99999/j", 4, "not a URL"),
    "an algorithm that is refused": (START + f"    jwks: {KEYS}\n    algorithms: [HS256]", 5, "not one of ES384"),
    "no algorithm": (START + f"    jwks: {KEYS}\n    algorithms: []", 5, "list at least one of"),
    "no tenant": (START + f"    jwks: {KEYS}\n    tenants: []", 5, "leave 'tenants' out"),
    "a FHIR server of plain http": (_static(PUBLIC) + "\n    fhir_servers: [http://a.example]", 5, "FHIR base"),
    "a life of no time": (START + f"    jwks: {KEYS}\n    max_token_seconds: 0", 5, "whole seconds"),
    "a life that is a word": (START + f"    jwks: {KEYS}\n    max_token_seconds: long", 5, "a number"),
    "an empty key set": (START + "    jwks: {keys: []}", 4, "the key set is empty"),
    "no key set": (START + "    jwks: {}", 4, "it needs a list 'keys'"),
    "a private key": (
        _static(PUBLIC | {"d": "AA"}),
        4,
        "key 1: this is a private",
    ),
    "a weak key": (_static(rsa_pair("a", 1024).jwk()), 4, "2048 to 8192 bits"),
    "another curve": (
        _static(elliptic("a", ec.SECP256R1()).jwk()),
        4,
        "fits none of the algorithms of this client (ES384, RS384)",
    ),
    "a key id twice": (
        _static(PUBLIC, PUBLIC),
        4,
        "key 2: its 'kid' stands twice",
    ),
    "a key file that is missing": (START + "    jwks_file: no.json", 4, "cannot be read: No such file"),
    "a key file that is no JSON": (START + "    jwks_file: trust.yaml", 4, "cannot be read as JSON"),
    "a CA file that is missing": (f"ca_file: no.pem\n{START}    jwks: {KEYS}", 1, "cannot be read: No such file"),
    "a CA file that is none": (f"ca_file: trust.yaml\n{START}    jwks: {KEYS}", 1, "no certificate in PEM form"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_file_line_and_way_out_for(tmp_path: Path, name: str) -> None:
    text, line, says = FAULTS[name]
    path = tmp_path / "trust.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(TrustError) as caught:
        load_trust_file(path)
    lines = str(caught.value).splitlines()
    assert [fault for fault in lines if fault.startswith(f"{path}:{line}: ") and says in fault], lines


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    path.write_text(START + "    jwks_url: nowhere\n    tenants: []\n    colour: red", "utf-8")
    with pytest.raises(TrustError) as caught:
        load_trust_file(path)
    assert len(str(caught.value).splitlines()) == 3


def test_trust_without_the_public_address_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    path.write_text(START + f"    jwks: {KEYS}", "utf-8")
    with pytest.raises(SettingsError, match=r"^PRENATAL_CDS_TRUST_FILE: needs PRENATAL_CDS_PUBLIC_URL"):
        load_settings({"trust_file": path})


def test_a_public_address_with_a_fault_is_the_only_thing_reported(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    path.write_text("{}")
    with pytest.raises(SettingsError) as caught:
        load_settings({"trust_file": path, "public_url": "nowhere"})
    assert len(str(caught.value).splitlines()) == 1


def test_an_authority_of_the_hospital_is_trusted_beside_the_usual_ones(tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hospital")])
    key = ec.generate_private_key(ec.SECP256R1())
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, day, day + datetime.timedelta(days=9000))
    certificate = builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256())
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    plain, own = tmp_path / "plain.yaml", tmp_path / "own.yaml"
    plain.write_text(START + f"    jwks: {KEYS}")
    own.write_text(yaml.safe_dump({"ca_file": "ca.pem", "clients": yaml.safe_load(plain.read_text())["clients"]}))
    known = [len(load_trust_file(path).tls.get_ca_certs()) for path in (plain, own)]
    assert known[0] > 50
    assert known[1] == known[0] + 1
