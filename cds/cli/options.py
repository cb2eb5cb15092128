"""Options that several verbs share, and the settings they make together with the environment: a flag wins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cds.service import Settings, SettingsError, load_settings
from cds.service.settings import ENV_PREFIX

RulesDir = Annotated[
    Path | None, typer.Option("--rules", metavar="DIR", help="Folder of rules; default: the bundled ones.")
]
SiteFile = Annotated[
    Path | None,
    typer.Option("--site", metavar="FILE", help="Site file with local codes; default: the example."),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Profile whose thresholds are used; default: seed."),
]
Now = Annotated[
    str | None,
    typer.Option("--now", metavar="ISO", help="Judge at this ISO 8601 time instead of the clock's."),
]
Language = Annotated[str | None, typer.Option("--language", metavar="TAG", help="Language of the cards; default: en.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings; the environment wins.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Hook = Annotated[
    str | None,
    typer.Option("--hook", metavar="HOOK", help="Service to ask; default: the hook that the request names."),
]
RequestFile = Annotated[
    str,
    typer.Argument(metavar="REQUEST.json", show_default=False, help="A CDS Hooks request; - reads stdin."),
]

_FLAGS: Final = {
    "rules_dir": "--rules",
    "site_file": "--site",
    "profile": "--profile",
    "fixed_now": "--now",
    "language": "--language",
    "config": "--config",
    "host": "--host",
    "port": "--port",
    "workers": "--workers",
}


def settings_from(**flags: Any) -> Settings:
    """Settings of the environment with the flags that were given on top.

    Raises SettingsError, each line naming the flag or the variable that is wrong.
    """
    try:
        return load_settings(flags)
    except SettingsError as error:
        text = str(error)
        for name, flag in _FLAGS.items():
            if flags.get(name) is not None:
                text = text.replace(f"{ENV_PREFIX}{name.upper()}: ", f"{flag}: ")
        raise SettingsError(text) from None
