"""One loaded set of rules with everything that is derived from it; replaced as a whole, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cds.advise import Adviser
from cds.hooks import Discovery, ServiceEntry, to_json
from cds.knowledge import KnowledgeBase, load_knowledge
from cds.service.json_input import dump_json
from cds.service.openapi import openapi_document
from cds.service.settings import Settings, known_language


@dataclass(frozen=True)
class RuleSet:
    """`services` by id; `discovery` by language and `openapi` as bytes; `language` of a client that asks for none."""

    knowledge: KnowledgeBase
    adviser: Adviser
    services: Mapping[str, ServiceEntry]
    discovery: Mapping[str, bytes]
    openapi: bytes
    language: str


def load_ruleset(settings: Settings) -> RuleSet:
    """Load and compile the rules of the settings.

    Raises KnowledgeError when the rules or the site file have faults, SettingsError when the language set is none of
    theirs.
    """
    knowledge = load_knowledge(settings.rules_dir, settings.site_file, settings.profile)
    language = known_language(settings.language, knowledge.languages)
    forms = [form.id for form in knowledge.questionnaires.values() if form.form]
    adviser = Adviser(knowledge, cross_check=settings.cross_check)
    return RuleSet(
        knowledge,
        adviser,
        {service.id: service for service in adviser.services()},
        {tag: dump_json(to_json(Discovery(services=tuple(adviser.services(tag))))) for tag in adviser.languages},
        dump_json(openapi_document(adviser.services(), forms, settings)),
        language,
    )
