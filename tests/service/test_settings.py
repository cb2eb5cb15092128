"""Settings: read from the environment, and wrong ones reported in one line each."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds.service import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PRENATAL_CDS_{name.upper()}", raising=False)


def test_the_defaults_serve_one_process_on_loopback_with_the_cross_check_on() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.cors_origins == ("*",)
    assert settings.max_body_bytes == 2_000_000
    assert (settings.rules_dir, settings.site_file, settings.profile) == (None, None, "seed")
    assert (settings.trust_file, settings.allow_anonymous) == (None, False)
    assert (settings.time_zone, settings.fixed_now, settings.cross_check) == ("UTC", None, True)


def test_every_setting_says_what_it_does() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_sets_and_an_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_PORT", "8123")
    monkeypatch.setenv("PRENATAL_CDS_CORS_ORIGINS", "https://a.example, https://b.example:8443")
    assert load_settings().port == 8123
    assert load_settings({"port": 9000, "host": None}).port == 9000
    assert load_settings().cors_origins == ("https://a.example", "https://b.example:8443")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eight"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("HOST", "a b"),
        ("WORKERS", "0"),
        ("CORS_ORIGINS", "ehr.example"),
        ("CORS_ORIGINS", "https://ehr.example/path"),
        ("PUBLIC_URL", "cds.example.org"),
        ("PUBLIC_URL", "ftp://cds.example.org"),
        ("PUBLIC_URL", "https://cds.example.org/?a=b"),
        ("MAX_BODY_BYTES", "-1"),
        ("BODY_TIMEOUT_SECONDS", "0"),
        ("TRUST_FILE", "/no/such/file"),
        ("ALLOW_ANONYMOUS", "perhaps"),
        ("TOKEN_SKEW_SECONDS", "-1"),
        ("TOKEN_MAX_SECONDS", "0"),
        ("TOKEN_MAX_BYTES", "10"),
        ("JWKS_PAUSE_SECONDS", "0"),
        ("JWKS_LIFETIME_SECONDS", "0"),
        ("JWKS_STALE_SECONDS", "-1"),
        ("STORE_URL", "feedback.sqlite3"),
        ("STORE_URL", "postgresql://feedback@host/db"),
        ("STORE_WAIT_SECONDS", "0"),
        ("FHIR_SERVERS", "ehr.example.org/fhir"),
        ("FHIR_SERVERS", "http://ehr.example.org/fhir"),
        ("FHIR_SERVERS", "https://ehr.example.org/fhir?tenant=1"),
        ("FHIR_SERVERS", "https://user@ehr.example.org/fhir"),
        ("FHIR_SERVERS", "https://ehr.example.org/fhir/../admin"),
        ("FHIR_SERVERS", "https://127.1/fhir"),
        ("FHIR_SERVERS", "https://ehr.example.org:0/fhir"),
        ("FHIR_NETWORKS", "10.2.0.0/33"),
        ("FHIR_NETWORKS", "10.2.3.4/16"),
        ("FHIR_CA_FILE", "/no/such/file"),
        ("FHIR_CA_FILE", __file__),
        ("FHIR_TIMEOUT_SECONDS", "0"),
        ("FHIR_CONNECTIONS", "0"),
        ("FHIR_MAX_BYTES", "0"),
        ("FHIR_MAX_PAGES", "0"),
        ("FHIR_PAGE_SIZE", "0"),
        ("RULES_DIR", "/no/such/folder"),
        ("SITE_FILE", "/no/such/file"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("TIME_ZONE", "../../etc/passwd"),
        ("TIME_ZONE", ""),
        ("CROSS_CHECK", "perhaps"),
        ("FIXED_NOW", "yesterday"),
        ("FIXED_NOW", "1700000000"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PRENATAL_CDS_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"PRENATAL_CDS_{name}: ")
    assert len(line) > len(f"PRENATAL_CDS_{name}: ")


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_FHIR_SERVERS", "https://a.example/fhir, http://127.0.0.1:8080/fhir")
    monkeypatch.setenv("PRENATAL_CDS_FHIR_NETWORKS", "10.2.0.0/16,fd00::/8")
    settings = load_settings()
    assert settings.fhir_servers == ("https://a.example/fhir", "http://127.0.0.1:8080/fhir")
    assert [str(network) for network in settings.fhir_networks] == ["10.2.0.0/16", "fd00::/8"]


def test_two_wrong_settings_are_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_PORT", "eight")
    monkeypatch.setenv("PRENATAL_CDS_WORKERS", "many")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert len(str(caught.value).splitlines()) == 2


def test_a_misspelt_variable_is_refused_with_the_name_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_TIMEZONE", "Asia/Shanghai")
    with pytest.raises(SettingsError, match=r"PRENATAL_CDS_TIMEZONE: .*did you mean PRENATAL_CDS_TIME_ZONE\?"):
        load_settings()


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(SettingsError, match="PROT"):
        load_settings({"prot": 8000})


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-11-22T09:00:00+08:00", "UTC", datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ("2026-11-22T09:00:00", "Asia/Shanghai", datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ("2026-11-22", "UTC", datetime(2026, 11, 22, tzinfo=UTC)),
        ("20261122", "UTC", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_stopped_clock_without_offset_is_local_time_of_the_site(text: str, zone: str, instant: datetime) -> None:
    assert load_settings({"fixed_now": text, "time_zone": zone}).now() == instant


def test_today_is_the_calendar_day_of_the_site() -> None:
    late = {"fixed_now": "2026-11-22T23:30:00+00:00"}
    assert load_settings(late).now().date().isoformat() == "2026-11-22"
    assert load_settings(late | {"time_zone": "Asia/Shanghai"}).now().date().isoformat() == "2026-11-23"


def test_a_running_clock_tells_the_present_in_the_zone_of_the_site() -> None:
    now = load_settings({"time_zone": "Asia/Shanghai"}).now()
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    assert now.utcoffset() == timedelta(hours=8)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"port": 8123, "workers": 3, "cors_origins": (), "fhir_networks": "10.2.0.0/16", "profile": "china"},
        {"time_zone": "Asia/Shanghai", "fixed_now": "2026-11-22T09:00:00", "body_timeout_seconds": 1.5},
    ],
)
def test_another_process_is_given_equal_settings(tmp_path: Path, given: dict[str, Any]) -> None:
    settings = load_settings({"rules_dir": tmp_path} | given)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_feedback_goes_to_the_state_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert load_settings({"state_dir": tmp_path}).store().database == str(tmp_path / "feedback.sqlite3")
    chosen = load_settings({"store_url": "sqlite:////var/lib/x.sqlite3"})
    assert chosen.store().database == "/var/lib/x.sqlite3"
