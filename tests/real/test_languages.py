"""What the fact layer says about records that nobody here wrote has words in every language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from cds.advise import DataUnavailable
from cds.cards import Foreign
from cds.knowledge.languages import translate
from tests.cards.test_languages import untranslated
from tests.real.clinic import Clinic
from tests.real.test_synthea import ALL, HOOKS, Records


@pytest.mark.parametrize("name", ALL)
def test_every_reason_and_remark_about_a_real_record_has_words(
    real: Path, clinic_at: Callable[[datetime], Clinic], name: str
) -> None:
    clinic, chart = Records(real / "synthea-2021", clinic_at).open(name)
    base = clinic.adviser.knowledge
    for hook in HOOKS:
        try:
            census = clinic.advice(clinic.ehr(chart).request(hook)).census
        except DataUnavailable:
            continue
        for language in base.languages.values():
            missing = list(untranslated(Foreign(base, translate(base, language)), census))
            assert not missing, f"{language.tag}: {missing}"
