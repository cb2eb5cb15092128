"""`prenatal-cds serve`: the HTTP service, until it is stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.cli.options import Config, Now, Profile, RulesDir, SiteFile, settings_from
from cds.service import serve


def serve_http(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="TCP port; default: 8000.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Number of processes; default: 1.")] = None,
    rules: RulesDir = None,
    site: SiteFile = None,
    profile: Profile = None,
    now: Now = None,
    config: Config = None,
) -> None:
    """Answer CDS Hooks calls over HTTP. Each setting has a variable PRENATAL_CDS_NAME, see docs/settings.md."""
    serve(
        settings_from(
            host=host,
            port=port,
            workers=workers,
            rules_dir=rules,
            site_file=site,
            profile=profile,
            fixed_now=now,
            config=config,
        )
    )
