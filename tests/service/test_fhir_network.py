"""A token goes to listed servers at checked addresses, however the server is spelt and wherever its name points."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address, ip_network

import httpcore
import pytest

from cds.service.fhir.network import BaseUrl, NotAllowed, Pinned, checked, listed, look_up

EHR = "https://ehr.example.org/fhir"


@pytest.mark.parametrize(
    "url",
    [
        "https://ehr.example.org/fhir",
        "https://ehr.example.org/fhir/",
        "https://ehr.example.org:443/fhir",
        "HTTPS://EHR.Example.org/fhir",
        "https://ehr.example.org/fhir/tenant-1",
    ],
)
def test_the_listed_server_is_known_in_each_of_its_spellings_and_below_its_path(url: str) -> None:
    found = listed([EHR], url)
    assert found is not None
    assert (found.scheme, found.host, found.port) == ("https", "ehr.example.org", 443)


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example.org/fhir",
        "https://ehr.example.org:8443/fhir",
        "https://ehr.example.org:80/fhir",
        "https://ehr.example.org:/fhir@evil.example",
        "https://ehr.example.org",
        "https://ehr.example.org/",
        "https://ehr.example.org/fhirx",
        "https://ehr.example.org/FHIR",
        "https://ehr.example.org/fhir/../admin",
        "https://ehr.example.org/fhir/..",
        "https://ehr.example.org/fhir/.",
        "https://ehr.example.org/fhir//admin",
        "https://ehr.example.org/fhir/%2e%2e/admin",
        "https://ehr.example.org/fhir\\..\\admin",
        "https://ehr.example.org/fhir?x=1",
        "https://ehr.example.org/fhir#x",
        "https://ehr.example.org/fhir;x",
        "https://ehr@evil.example/fhir",
        "https://ehr.example.org@evil.example/fhir",
        "https://ehr.example.org:secret@evil.example/fhir",
        "https://ehr.example.org.evil.example/fhir",
        "https://evil-ehr.example.org/fhir",
        "https://evil.example/fhir?https://ehr.example.org/fhir",
        "https://ehr.example.evil/fhir",
        "https://ehr.example.org\\@evil.example/fhir",
        "https://ehr.example.org\t/fhir",
        "https://ehr.example.org/fhir\n",
        " https://ehr.example.org/fhir",
        "https:/ehr.example.org/fhir",
        "https:ehr.example.org/fhir",
        "//ehr.example.org/fhir",
        "ehr.example.org/fhir",
        "ftp://ehr.example.org/fhir",
        "file:///etc/passwd",
        "https://ehr\uff0eexample.org/fhir",
        "https://еhr.example.org/fhir",
        "https://ehr.example.org:99999/fhir",
        "https://ehr.example.org:４43/fhir",
        "https://169.254.169.254/fhir",
        "https://[::1]/fhir",
        "https://0.0.0.0/fhir",
        "https://127.1/fhir",
        "https://2130706433/fhir",
        "https://0177.0.0.1/fhir",
        "https://0x7f000001/fhir",
        "https://127.0.0.1/fhir",
        "https://[::ffff:127.0.0.1]/fhir",
        "http://127.0.0.1/fhir",
        "https://localhost/fhir",
        "https://[::1%25lo]/fhir",
        "https:///fhir",
        "",
    ],
)
def test_no_other_spelling_passes_for_the_listed_server(url: str) -> None:
    assert listed([EHR], url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/fhir", "http://[::1]:8080/fhir", "http://localhost/fhir"])
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    assert BaseUrl.parse(url).scheme == "http"


def test_an_empty_list_is_no_access() -> None:
    assert listed([], EHR) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "169.254.169.254", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::",
        "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    ],
)  # fmt: skip
def test_a_listed_name_does_not_lead_into_the_own_network(address: str) -> None:
    base = BaseUrl.parse(EHR)
    with pytest.raises(NotAllowed):
        checked(base, [address], ())
    with pytest.raises(NotAllowed):
        checked(base, ["93.184.216.34", address], ())


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_a_listed_name_may_lead_to_a_public_address(address: str) -> None:
    (found,) = checked(BaseUrl.parse(EHR), [address, address], ())
    assert ip_address(found) == ip_address(address)


def test_a_name_without_any_address_is_refused() -> None:
    with pytest.raises(NotAllowed):
        checked(BaseUrl.parse(EHR), [], ())


def test_a_private_network_is_open_to_listed_names_when_it_is_listed_itself() -> None:
    networks = (ip_network("10.2.0.0/16"), ip_network("169.254.0.0/16"), ip_network("fd12::/16"))
    base = BaseUrl.parse(EHR)
    assert checked(base, ["10.2.3.4"], networks) == ("10.2.3.4",)
    assert checked(base, ["fd12::5"], networks) == ("fd12::5",)
    for outside in ("10.3.0.1", "169.254.169.254", "fd13::5"):
        with pytest.raises(NotAllowed):
            checked(base, [outside], networks)


def test_a_listed_address_is_allowed_itself_and_no_other() -> None:
    base = BaseUrl.parse("https://10.2.3.4/fhir")
    assert checked(base, ["10.2.3.4"], ()) == ("10.2.3.4",)
    with pytest.raises(NotAllowed):
        checked(base, ["10.2.3.5"], ())
    assert checked(BaseUrl.parse("http://localhost/fhir"), ["::1", "127.0.0.1"], ()) == ("::1", "127.0.0.1")
    with pytest.raises(NotAllowed):
        checked(BaseUrl.parse("https://169.254.169.254/fhir"), ["169.254.169.254"], ())


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_what_the_resolver_of_this_machine_makes_of_odd_numbers_is_refused_too(host: str) -> None:
    try:
        found = asyncio.run(look_up(host, 443))
    except OSError:
        return  # this resolver reads only whole addresses
    with pytest.raises(NotAllowed):
        checked(BaseUrl.parse(EHR), found, ())


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://ehr.example.org/fhir?_getpages=7&_count=20", "/fhir?_getpages=7&_count=20"),
        ("https://ehr.example.org/fhir/?_getpages=7", "/fhir/?_getpages=7"),
        ("https://ehr.example.org:443/fhir/Observation?a=b|c%20d", "/fhir/Observation?a=b|c%20d"),
        ("https://ehr.example.org/other/Observation?a=b", None),
        ("https://ehr.example.org/fhir/../other?a=b", None),
        ("https://ehr.example.org/fhir/%2e%2e/other?a=b", None),
        ("http://ehr.example.org/fhir/Observation?a=b", None),
        ("https://ehr.example.org:8443/fhir/Observation", None),
        ("https://evil.example/fhir/Observation", None),
        ("https://ehr.example.org/fhir/Observation?a=b\r\nX-Evil: 1", None),
        ("https://ehr.example.org/fhir/Observation?a=b#c", None),
        ("Observation?a=b", None),
        ("https://ehr.example.org/fhir?" + "a" * 8000, None),
    ],
)
def test_a_next_link_is_followed_only_below_the_server_of_the_call(url: str, target: str | None) -> None:
    assert BaseUrl.parse(EHR).target_of(url) == target


def _connect(base: BaseUrl, addresses: list[str], host: str, port: int) -> None:
    async def connect() -> None:
        stream = await Pinned(base, addresses).connect_tcp(host, port, timeout=5)
        await stream.aclose()

    asyncio.run(connect())


def test_a_pinned_connection_goes_to_the_checked_address_whatever_the_name_says_now() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        base = BaseUrl.parse(f"https://no-such-host.invalid:{port}/fhir")
        _connect(base, ["127.0.0.1"], "no-such-host.invalid", port)
        for other in (("127.0.0.1", port), ("no-such-host.invalid", port + 1)):
            with pytest.raises(NotAllowed):
                _connect(base, ["127.0.0.1"], *other)


def test_a_pinned_connection_tries_the_next_address_when_the_first_does_not_answer() -> None:
    with socket.socket() as dead, socket.socket() as alive:
        dead.bind(("127.0.0.2", 0))  # bound, not listening: refuses
        port = dead.getsockname()[1]
        alive.bind(("127.0.0.1", port))
        alive.listen()
        base = BaseUrl.parse(f"http://localhost:{port}/fhir")
        _connect(base, ["127.0.0.2", "127.0.0.1"], "localhost", port)
        with pytest.raises(httpcore.ConnectError):
            _connect(base, ["127.0.0.2"], "localhost", port)
