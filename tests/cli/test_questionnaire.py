"""`prenatal-cds questionnaire`: the form to import into a record system."""

from __future__ import annotations

import json

from fhir.resources.R4B.questionnaire import Questionnaire

from tests.cli.conftest import Cli


def test_it_prints_the_form_as_fhir(cli: Cli) -> None:
    done = cli("questionnaire")
    assert done.code == 0
    assert Questionnaire.model_validate(json.loads(done.out)).id == "nutrition-and-leg-check"


def test_an_unknown_form_is_one_line_with_the_way_out(cli: Cli) -> None:
    done = cli("questionnaire", "nutrition-and-leg-chek")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "did you mean 'nutrition-and-leg-check'" in done.err
