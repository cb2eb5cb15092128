"""One request from a file or stdin through the one door, for the verbs that need no server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cds.advise import Advice, Adviser, DataUnavailable, PatientMismatch
from cds.cli.stop import ISSUES, WRONG_USE, Stop
from cds.hooks import CONTEXTS, InvalidRequest, parse_request
from cds.knowledge import KnowledgeBase, load_knowledge
from cds.service import Settings
from cds.service.json_input import InvalidJson, parse_json
from cds.service.settings import known_language


@dataclass(frozen=True)
class Answer:
    """Advice with what it was made of: the adviser (open), the hook and the time it was judged at."""

    adviser: Adviser
    advice: Advice
    hook: str
    now: datetime

    @property
    def knowledge(self) -> KnowledgeBase:
        return self.adviser.knowledge

    @property
    def footer(self) -> str:
        """By what the answer was made, for a reader who compares two of them."""
        base = self.knowledge
        when = self.now.isoformat(timespec="minutes")
        return f"{self.hook} at {when}, profile {base.profile}, knowledge {base.hash[:12]}"


@contextmanager
def answer(source: str, hook: str | None, settings: Settings) -> Iterator[Answer]:
    """Ask for advice about the request in ``source`` ("-": stdin), like a POST to the service of ``hook``.

    Raises Stop: 2 for a request that cannot be read or breaks the specification, 1 for missing data.
    """
    body = _body(source)
    asked = hook or _hook_of(body)
    if asked not in CONTEXTS:
        given = "--hook" if hook else f"{_name(source)}: hook"
        raise Stop(f"{given} is none of {', '.join(CONTEXTS)}", WRONG_USE)
    now = settings.now()
    knowledge = load_knowledge(settings.rules_dir, settings.site_file, settings.profile)
    language = known_language(settings.language, knowledge.languages)
    with Adviser(knowledge, cross_check=settings.cross_check) as adviser:
        try:
            advice = adviser.advise(parse_request(body, hook=asked), now, language)
        except (InvalidRequest, PatientMismatch) as error:
            raise Stop(f"{_name(source)}: {error}", WRONG_USE) from None
        except DataUnavailable as error:
            raise Stop(f"{_name(source)}: {error}", ISSUES) from None
        yield Answer(adviser, advice, asked, now)


def _body(source: str) -> Any:
    try:
        return parse_json(sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes())
    except OSError as error:
        raise Stop(f"{source}: {(error.strerror or 'cannot be read').lower()}", WRONG_USE) from None
    except InvalidJson as error:
        raise Stop(f"{_name(source)}: {error.problem}", WRONG_USE) from None


def _name(source: str) -> str:
    return "stdin" if source == "-" else source


def _hook_of(body: Any) -> str:
    hook = body.get("hook") if isinstance(body, dict) else None
    return hook if isinstance(hook, str) else ""
