"""`prenatal-cds settings`: what is set, where, and what could be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cds.cli.options import Config, settings_from
from cds.cli.terminal import print_bytes
from cds.service.settings import sources
from cds.service.settings_page import effective, markdown


def print_settings(
    config: Config = None,
    page: Annotated[bool, typer.Option("--markdown", help="Print the page about all settings instead.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write to FILE, such as docs/settings.md.")
    ] = None,
) -> None:
    """Print the settings in effect as a TOML file, each with where it was made."""
    if page:
        text = markdown()
    else:
        settings = settings_from(config=config)
        text = effective(settings, sources(settings))
    if output is None:
        print_bytes(text.encode())
    else:
        output.write_text(text, encoding="utf-8")
