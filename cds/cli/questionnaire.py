"""`prenatal-cds questionnaire`: the FHIR Questionnaire whose answers the rules read, to import into a record system."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cds.cli.options import RulesDir, settings_from
from cds.cli.stop import WRONG_USE, Stop
from cds.knowledge import load_knowledge
from cds.knowledge.errors import did_you_mean

QuestionnaireId = Annotated[str, typer.Argument(metavar="ID", help="Name of the questionnaire.")]


def print_questionnaire(id: QuestionnaireId = "nutrition-and-leg-check", rules: RulesDir = None) -> None:
    """Print a questionnaire as FHIR JSON, with its translations."""
    settings = settings_from(rules_dir=rules)
    base = load_knowledge(settings.rules_dir, settings.site_file, settings.profile)
    found = base.form(id)
    if found is None:
        shipped = [questionnaire.id for questionnaire in base.questionnaires.values() if questionnaire.form]
        raise Stop(f"no questionnaire '{id}'{did_you_mean(id, shipped)} (known: {', '.join(shipped)})", WRONG_USE)
    print(json.dumps(found.form, indent=2, ensure_ascii=False))
