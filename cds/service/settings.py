"""What an operator may set: `name = value` in one TOML file, or an environment variable `PRENATAL_CDS_<NAME>`.

command line  wins over  environment  wins over  file  wins over  default

ValueError
  SettingsError     a setting is wrong or unknown; one line for each
"""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AwareDatetime,
    DirectoryPath,
    Field,
    FilePath,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

from cds.feedback import sqlite_url
from cds.knowledge.languages import ENGLISH
from cds.service.fhir.network import BaseUrl
from cds.service.language import look_up

ENV_PREFIX: Final = "PRENATAL_CDS_"
BASE_URL: Final = re.compile(
    r"https?://[A-Za-z0-9\-._]+(:\d+)?(/[A-Za-z0-9\-._~/]*)?|https?://\[[0-9A-Fa-f:.]+\](:\d+)?/?"
)
"""A base URL that may stand in a link of a card: scheme, host, port and path."""


class SettingsError(ValueError):
    """The settings cannot be used; each line names the variable, the problem and often the way out."""


def _default_state_dir() -> Path:
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"
    return base / "prenatal-cds"


class Settings(BaseSettings):
    """Settings of the HTTP service; every field is read from the environment unless given."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", pattern=r"^\S+$", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=1, le=65535, description="TCP port to listen on.")
    workers: int = Field(1, ge=1, le=64, description="Processes; each has its own engine, nothing is shared.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        description="Origins of browser clients, separated by commas; * for all, empty for none. "
        "No cookie is ever used, so * lets no page act in a user's name.",
    )
    public_url: str | None = Field(
        None,
        description="Where clients reach this service, such as https://cds.example.org; links to its questionnaires "
        "begin with it. Unset: the address that the request was sent to.",
    )
    # Limits; how the defaults were measured: docs/limits.md
    max_body_bytes: int = Field(2_000_000, ge=1_000, description="Largest body in bytes; more is 413.")
    max_depth: int = Field(64, ge=16, le=200, description="Deepest nesting of arrays and objects; more is 400.")
    max_entries: int = Field(
        2_000, ge=1, description="Most resources of one request, prefetch and draft orders together; more is 413."
    )
    max_codings: int = Field(20_000, ge=1, description="Most codings of one request; more is 413.")
    body_timeout_seconds: float = Field(
        5, gt=0, le=300, description="Time a client has to send the whole body; later is 408."
    )
    request_seconds: float = Field(
        8,
        gt=0,
        le=300,
        description="Time of one call from its first byte of body to its answer, fetching included; later is 503.",
    )
    max_concurrent: int = Field(
        32, ge=1, description="Calls in work at once in one worker; the next one is 503 with Retry-After."
    )
    max_connections: int = Field(
        512, ge=1, description="Open connections of one worker; the next one is told 503 and closed."
    )
    max_head_bytes: int = Field(
        32_768, ge=1_000, description="Largest request line with headers in bytes; more is 431, or 414 for the address."
    )
    head_timeout_seconds: float = Field(
        5, gt=0, le=300, description="Time a client has to send the headers of a request; later is 408."
    )
    rules_dir: DirectoryPath | None = Field(None, description="Folder of rules; unset for the bundled ones.")
    site_file: FilePath | None = Field(None, description="Site file; unset for the bundled example.")
    profile: str = Field("seed", min_length=1, description="Name of the profile whose thresholds are used.")
    language: str = Field(
        "en",
        min_length=1,
        description="Language of cards (BCP 47) for clients whose Accept-Language names none we have.",
    )
    time_zone: str = Field("UTC", description="IANA zone whose day is 'today', such as Asia/Shanghai.")
    cross_check: bool = Field(
        True, description="Evaluate each request twice, by engine and reference; a mismatch is an error."
    )
    fixed_now: AwareDatetime | None = Field(
        None,
        description="Stop the clock at this ISO 8601 time, for demonstrations and tests with dated records; "
        "without offset it is local time of the time zone. Shown by /health. Never set it for patients.",
    )
    # FHIR access
    fhir_servers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Base URLs of the FHIR servers that calls may lend access to, separated by commas, such as "
        "https://ehr.example.org/fhir; what lies below one is listed with it. https, or http to this machine. "
        "Empty: nothing is ever fetched.",
    )
    fhir_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Private networks, separated by commas, such as 10.2.0.0/16, in which the name of a listed FHIR "
        "server may lie. Empty: public addresses only.",
    )
    fhir_ca_file: FilePath | None = Field(
        None, description="PEM file of certificate authorities for FHIR servers; unset for those of the system."
    )
    fhir_timeout_seconds: float = Field(
        3, gt=0, le=30, description="Time for all that is fetched for one call; the rest is a named gap."
    )
    fhir_connections: int = Field(6, ge=1, le=32, description="Connections to the FHIR server at once, for one call.")
    fhir_max_bytes: int = Field(
        8_000_000, ge=10_000, description="Bytes, after decompression, of all answers to one call; more is not read."
    )
    fhir_max_pages: int = Field(10, ge=1, le=1000, description="Pages of one search that are read.")
    fhir_page_size: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Rows of a page that the FHIR server is asked for (_count); it may send fewer.",
    )

    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Folder of what outlives a process: feedback, tokens seen. Made, for this user only, when it is "
        "first written to. Default: prenatal-cds under $XDG_STATE_HOME, or under ~/.local/state.",
    )
    # Client trust: who may call (docs/client-trust.md).
    trust_file: FilePath | None = Field(
        None,
        description="YAML file of the clients that may call, their issuers and keys; needs public_url. Unset: calls "
        "need no token, and the service starts on loopback only.",
    )
    allow_anonymous: bool = Field(
        False, description="Without a trust file, start on an address that others can reach all the same."
    )
    token_skew_seconds: int = Field(60, ge=0, le=600, description="How far the clocks of clients may be off.")
    token_max_seconds: int = Field(
        300, ge=1, le=86_400, description="Longest life of a token, iat to exp; the trust file may say it per client."
    )
    token_max_bytes: int = Field(8_192, ge=512, le=65_536, description="Longest Authorization header; more is 401.")
    jwks_lifetime_seconds: float = Field(
        900, gt=0, le=86_400, description="Age at which published keys are fetched anew; so long lives a removed key."
    )
    jwks_pause_seconds: float = Field(
        30, gt=0, le=3_600, description="Least time between two fetches of one key set, also for unknown key ids."
    )
    jwks_stale_seconds: float = Field(
        86_400, ge=0, le=2_592_000, description="How much longer keys are used while their URL does not answer."
    )
    # The store of feedback.
    store_url: str | None = Field(
        None,
        description="File that feedback is stored in, as sqlite:////absolute/path. Default: feedback.sqlite3 in the "
        "state folder.",
    )
    store_wait_seconds: float = Field(
        5, gt=0, le=60, description="Longest time that feedback waits to be stored; then it is answered 503."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    # Operations
    config: FilePath | None = Field(
        None, description="TOML file with settings, one `name = value` each; the environment wins over it."
    )
    metrics: bool = Field(
        True, description="Answer GET /metrics, for Prometheus; no patient data, but it tells how the site works."
    )
    reload_seconds: float = Field(
        0,
        ge=0,
        le=86_400,
        description="Look this often, in seconds, whether the rules or the site file changed, and load them anew once "
        "they rest. 0: only on signal HUP. What does not pass its own cases is refused, and the old rules serve on.",
    )
    reload_timeout_seconds: float = Field(
        300, gt=0, le=3_600, description="Longest time in seconds that the proof of new rules may take."
    )
    drain_seconds: float = Field(
        1,
        ge=0,
        le=300,
        description="After signal TERM: time in seconds in which /ready is 503, new connections are still taken and "
        "each answer ends its connection, so that a load balancer turns elsewhere before anything is closed.",
    )
    shutdown_seconds: float = Field(
        10,
        gt=0,
        le=300,
        description="After that: longest time in seconds for requests that have begun; then they are cut off.",
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        le=3_600,
        description="Idle time in seconds after which a kept connection is closed. Longer than that of a proxy in "
        "front (60 is common), or the proxy sends a request into the closing connection.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """A file can say `port = true`, which pydantic takes for 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("true and false are no value of this setting")
        return value

    @field_validator("fhir_networks", mode="before")
    @classmethod
    def _read_networks(cls, rows: Any) -> Any:
        """Here, because pydantic would report a fault for each kind of network; runs after the split below."""
        try:
            return tuple(ip_network(row) for row in rows)
        except (TypeError, ValueError):
            raise ValueError("a network such as 10.2.0.0/16, with no bits set after its prefix") from None

    @field_validator("cors_origins", "fhir_servers", "fhir_networks", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(row.strip() for row in value.split(",") if row.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_have_no_path(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not rest or "/" in rest):
                raise ValueError("an origin is * or scheme://host[:port] without a path")
        return origins

    @field_validator("public_url")
    @classmethod
    def _public_url_is_a_base(cls, url: str | None) -> str | None:
        if url is not None and not BASE_URL.fullmatch(url):
            raise ValueError("an address such as https://cds.example.org, without query and fragment")
        return url

    @field_validator("trust_file")
    @classmethod
    def _trust_knows_our_address(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        # A wrong public_url is missing here and reported by its own validator.
        if path is not None and info.data.get("public_url", "") is None:
            raise ValueError(
                f"needs {ENV_PREFIX}PUBLIC_URL, such as https://cds.example.org: tokens name the address they are for"
            )
        return path

    @field_validator("fhir_servers")
    @classmethod
    def _fhir_servers_are_plain(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            BaseUrl.parse(server)
        return servers

    @field_validator("fhir_ca_file")
    @classmethod
    def _ca_file_holds_certificates(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.create_default_context(cafile=path)
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                raise ValueError("no PEM file with certificates") from None
        return path

    @field_validator("request_seconds")
    @classmethod
    def _whole_is_not_less_than_a_part(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds < info.data.get("body_timeout_seconds", 0):
            raise ValueError(f"less than {ENV_PREFIX}BODY_TIMEOUT_SECONDS; a call takes at least as long as its body")
        return seconds

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        if _zone(name) is None:
            raise ValueError("no such time zone; give an IANA name such as Asia/Shanghai")
        return name

    @field_validator("fixed_now", mode="before")
    @classmethod
    def _read_iso_8601(cls, value: Any, info: ValidationInfo) -> Any:
        """Only ISO 8601: pydantic alone would read 20261122 as seconds since 1970."""
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise ValueError("not ISO 8601; give a time such as 2026-11-22T09:00:00+08:00") from None
        elif value is not None and not isinstance(value, datetime):
            # A file can hold a number or a bare date.
            raise ValueError("not ISO 8601; give a time such as 2026-11-22T09:00:00+08:00")
        if isinstance(value, datetime) and value.tzinfo is None:
            # A wrong zone is missing here and reported by its own validator.
            value = value.replace(tzinfo=_zone(info.data.get("time_zone", "UTC")))
        return value

    @field_validator("store_url")
    @classmethod
    def _store_is_a_file(cls, url: str | None) -> str | None:
        if url is not None:
            sqlite_url(url)
        return url

    def store(self) -> URL:
        """Where feedback is kept."""
        if self.store_url is not None:
            return sqlite_url(self.store_url)
        return URL.create("sqlite", database=str(self.state_dir / "feedback.sqlite3"))

    def now(self) -> datetime:
        """The time at which a request is judged, in the site's zone: its date is the site's calendar day."""
        zone = ZoneInfo(self.time_zone)
        return self.fixed_now.astimezone(zone) if self.fixed_now else datetime.now(zone)


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the file, the environment and `overrides` (None values are skipped), the last of them winning.

    Raises SettingsError, one line for each fault, also for a variable `PRENATAL_CDS_...` or a line of the file that
    is no setting: a misspelt time zone must not go unnoticed.
    """
    unknown = [_unknown_variable(name) for name in sorted(os.environ) if _is_unknown(name)]
    if unknown:
        raise SettingsError("\n".join(unknown))
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    file = given.get("config") or _environment().get("config")
    written = _read_file(Path(file)) if file else {}
    used = {name: value for name, value in written.items() if name not in given and name not in _environment()}
    try:
        return Settings(**used, **given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise SettingsError("\n".join(_line(fault, file, used) for fault in faults)) from None


def sources(settings: Settings, overrides: Iterable[str] = ()) -> dict[str, str]:
    """Where each setting of `settings` was made: `option`, its variable, the file, or `default`."""
    written = _read_file(settings.config) if settings.config else {}
    found = dict.fromkeys(Settings.model_fields, "default")
    found |= dict.fromkeys(written, str(settings.config))
    found |= {name: ENV_PREFIX + name.upper() for name in _environment() if name in found}
    return found | dict.fromkeys(overrides, "option")


def _environment() -> dict[str, str]:
    """Our variables by the name of their setting; their case does not matter, as pydantic-settings has it."""
    ours = {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(ENV_PREFIX)}
    return {name.removeprefix(ENV_PREFIX).lower(): value for name, value in ours.items()}


def _read_file(path: Path) -> dict[str, Any]:
    """The settings that a file makes. Raises SettingsError, each line with file and key."""
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))  # some editors mark UTF-8
    except OSError as error:
        raise SettingsError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    known = [name for name in Settings.model_fields if name != "config"]
    unknown = [f"{path}: {name}: no such setting; {_meant(name, known)}" for name in found if name not in known]
    if unknown:
        raise SettingsError("\n".join(unknown))
    return found


def known_language(tag: str, translations: Iterable[str]) -> str:
    """The language that ``tag`` means: English, or one that the rules are translated into.

    Raises SettingsError when it is neither: a site that set a language must not be answered in another in silence.
    """
    known = (ENGLISH, *translations)
    found = look_up(tag, known)
    if found is None:
        raise SettingsError(
            f"{ENV_PREFIX}LANGUAGE (--language): the rules have no such language; known are {', '.join(known)}"
        )
    return found


def _zone(name: Any) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError, TypeError):  # which of them depends on how the name is wrong
        return None


def _is_unknown(name: str) -> bool:
    return name.startswith(ENV_PREFIX) and name.removeprefix(ENV_PREFIX).lower() not in Settings.model_fields


def _unknown_variable(name: str) -> str:
    known = [ENV_PREFIX + field.upper() for field in Settings.model_fields]
    return f"{name}: no such setting; {_meant(name, known)}"


def _meant(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _line(fault: Any, file: Any, written: Mapping[str, Any]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    place = f"{ENV_PREFIX}{name.upper()}: " if name else ENV_PREFIX + "*: "
    if name in written:
        place = f"{file}: {name}: "
    return place + str(fault["msg"]).removeprefix("Value error, ")
