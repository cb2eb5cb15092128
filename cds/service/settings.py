"""What an operator may set, each by an environment variable `PRENATAL_CDS_<NAME>`.

ValueError
  SettingsError     a setting is wrong or unknown; one line for each
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
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

from cds.knowledge.languages import ENGLISH
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
    keep_alive_seconds: int = Field(
        65,
        ge=1,
        le=3600,
        description="Time an idle connection stays open; longer than a proxy in front keeps it, or answers get lost.",
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
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Folder of what outlives a process: feedback, tokens seen. Made, for this user only, when it is "
        "first written to. Default: prenatal-cds under $XDG_STATE_HOME, or under ~/.local/state.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(origin.strip() for origin in value.split(",") if origin.strip())
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
        if isinstance(value, datetime) and value.tzinfo is None:
            # A wrong zone is missing here and reported by its own validator.
            value = value.replace(tzinfo=_zone(info.data.get("time_zone", "UTC")))
        return value

    def now(self) -> datetime:
        """The time at which a request is judged, in the site's zone: its date is the site's calendar day."""
        zone = ZoneInfo(self.time_zone)
        return self.fixed_now.astimezone(zone) if self.fixed_now else datetime.now(zone)

    def to_environment(self) -> dict[str, str]:
        """The variables from which another process builds equal settings."""
        values = self.model_dump(mode="json", exclude_none=True)
        values["cors_origins"] = ",".join(self.cors_origins)
        return {
            ENV_PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the environment, with `overrides` (None values are skipped) on top.

    Raises SettingsError, one line for each fault, also for a `PRENATAL_CDS_` variable that does not exist: a
    misspelt time zone variable must not go unnoticed.
    """
    unknown = [_unknown_variable(name) for name in sorted(os.environ) if _is_unknown(name)]
    if unknown:
        raise SettingsError("\n".join(unknown))
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_line(fault) for fault in error.errors(include_url=False))) from None


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
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"{name}: no such setting; {hint}"


def _line(fault: Any) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    place = f"{ENV_PREFIX}{name.upper()}: " if name else ENV_PREFIX + "*: "
    return place + str(fault["msg"]).removeprefix("Value error, ")
