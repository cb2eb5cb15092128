"""The HTTP service: routes, strict JSON, settings, logging and the server. No clinical logic lives here."""

from __future__ import annotations

from cds.service.app import create_app
from cds.service.json_input import InvalidJson, dump_json, parse_json
from cds.service.run import serve
from cds.service.settings import Settings, SettingsError, load_settings

__all__ = [
    "InvalidJson",
    "Settings",
    "SettingsError",
    "create_app",
    "dump_json",
    "load_settings",
    "parse_json",
    "serve",
]
