"""Language files: what makes a card wrong stops loading, what is missing is a gap with its place."""

from __future__ import annotations

import shutil

import pytest

from cds.knowledge import KnowledgeBase, check
from cds.knowledge.languages import quantity_in, translate
from tests.knowledge.small_rules import REAL_RULES, Rules

LOW = "advice/low-calcium.es.yaml"
MISSING = "advice/calcium-test-missing.es.yaml"
WORDS = "languages/es.yaml"
LOW_SPANISH = """\
of: 1.0.0
title: Leer un calcio sérico bajo
caution: El calcio total baja con la albúmina.
summary: El calcio sérico {result} es inferior a {calcium-low}
detail: Considere albúmina o calcio ionizado. Un total bajo puede ser solo dilución.
"""
MISSING_SPANISH = """\
of: 1.0.0
title: Ofrecer una prueba de calcio cuando no hay ninguna reciente
caution: No se ve una prueba hecha en otro lugar.
summary: Sin calcio sérico en {calcium-recency}
detail: Considere medir el calcio. Pregunte por pruebas en otros hospitales.
suggest: [Solicitar calcio sérico]
"""


@pytest.fixture
def spanish(rules: Rules) -> Rules:
    """The small rules, each translated, with the shipped Spanish words."""
    (rules.root / "languages").mkdir()
    shutil.copy(REAL_RULES / WORDS, rules.root / WORDS)
    rules.write(LOW, LOW_SPANISH)
    rules.write(MISSING, MISSING_SPANISH)
    return rules


def gaps(base: KnowledgeBase) -> list[str]:
    return [str(problem) for problem in check(base) if problem.gap]


def test_every_text_of_the_shipped_rules_is_translated(knowledge: KnowledgeBase) -> None:
    assert set(knowledge.languages) == {"es", "zh-Hans"}
    found = gaps(knowledge)
    assert not found, "\n".join(["these texts are missing or stale:", *found])


def test_a_translated_rule_is_no_gap(spanish: Rules) -> None:
    assert not [gap for gap in gaps(spanish.load()) if "advice/" in gap]


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (LOW, "{result} es", "es", "summary: its placeholders differ from those of the rule ({result}, {calcium-low})"),
        (LOW, "{calcium-low}", "{calcium-recency}", "summary: its placeholders differ"),
        (LOW, "solo dilución", "solo dilución de 2 litros", "detail[0]: a number stands in the text"),
        (LOW, "albúmina o", "<b>albúmina</b> o", "detail[0]: no angle brackets"),
        (LOW, "summary: El", f"summary: {'El ' * 40}", "characters; CDS Hooks allows 1 to 139"),
        (LOW, "caution:", "precaution:", "precaution: unknown key; did you mean 'caution'?"),
        (LOW, "of: 1.0.0\n", "", "'of' is missing"),
        (LOW, "detail:", "suggest: [Pedir calcio]\ndetail:", "suggest: 1 labels, but the rule has 0"),
        (LOW, "detail:", "variants:\n  old: {summary: Antiguo}\ndetail:", "variants.old.summary: the rule has no such"),
        (LOW, "detail:", "variants:\n  odl: {}\ndetail:", "no variant 'odl'; did you mean 'old'?"),
        (LOW, "detail:", "add: [Algo más]\ndetail:", "add: 1 texts, but the rule adds 0"),
        (LOW, "detail:", "replace: {food: Leche}\ndetail:", "replace: the rule replaces no part 'food'"),
        (LOW, "detail: Considere", "detail:\n  - food: Considere", "detail: its parts are ['food'], those of the rule"),
        (MISSING, "[Solicitar calcio sérico]", "[Solicitar calcio, Otro]", "suggest: 2 labels, but the rule has 1"),
        (WORDS, "Proponer: {title}", "Proponer: {titel}", "card: 'propose' needs the placeholders of"),
        (WORDS, "hay un resultado pendiente ({name})", "hay un resultado pendiente",
         "phrases: the placeholders of 'a result is pending ({name})' and its translation differ"),
        (WORDS, "strengths:", "strength:", "unknown key; did you mean 'strengths'?"),
        (WORDS, "  patient-view:", "  patient-vew:", "no hook 'patient-vew'; did you mean 'patient-view'?"),
    ],
)  # fmt: skip
def test_a_translation_that_would_make_a_card_wrong_stops_loading(
    spanish: Rules, file: str, old: str, new: str, problem: str
) -> None:
    spanish.edit(file, old, new)
    found = spanish.problems()
    assert any(row.startswith(f"{file}:") and problem in row for row in found), found


@pytest.mark.parametrize(
    ("file", "old", "new", "gap"),
    [
        (LOW, "caution: El calcio total baja con la albúmina.\n", "", "caution is not translated"),
        (LOW, "title: Leer un calcio sérico bajo\n", "", "title is not translated"),
        (MISSING, "suggest: [Solicitar calcio sérico]\n", "", "suggest[0] is not translated"),
        (WORDS, "  based-on: Se basa en\n", "", "card: 'based-on' is not translated"),
        (WORDS, "  days: días\n", "", "units: no words for '42 days' (threshold 'calcium-recency')"),
        (WORDS, "  serum-calcium: Calcio total en suero o plasma\n", "", "concepts: 'serum-calcium' is not translated"),
        (WORDS, "  strong: fuerte\n", "", "strengths: 'strong' is not translated"),
        (WORDS, "usage: ", "# usage: ", "the usage, are needed"),
    ],
)
def test_a_missing_text_is_a_gap_and_the_rules_still_load(
    spanish: Rules, file: str, old: str, new: str, gap: str
) -> None:
    before = gaps(spanish.load())
    spanish.edit(file, old, new)
    added = [row for row in gaps(spanish.load()) if row not in before]
    assert any(row.startswith(f"{file}:") and gap in row for row in added), added


def test_a_rule_without_a_translation_is_named_with_its_language(spanish: Rules) -> None:
    (spanish.root / LOW).unlink()
    assert "advice/low-calcium.yaml:1: es: rule 'low-calcium' is not translated" in gaps(spanish.load())


def test_a_translation_of_another_version_is_stale_whatever_it_says(spanish: Rules) -> None:
    spanish.edit(LOW, "of: 1.0.0", "of: 0.9.0")
    spanish.edit(LOW, "{result} es", "es")
    base = spanish.load()
    assert f"{LOW}:1: translates version 0.9.0 of rule 'low-calcium', which is 1.0.0 now" in gaps(base)
    assert "low-calcium" not in translate(base, base.languages["es"]).rules


def test_what_one_language_can_say_another_must_say_too(spanish: Rules) -> None:
    spanish.write("languages/zh-Hans.yaml", "name: 简体中文\nphrases:\n  a new sentence: 新句子\n")
    assert any("phrases: 'a new sentence' is not translated" in gap for gap in gaps(spanish.load()))


def test_a_name_that_is_gone_is_told(spanish: Rules) -> None:
    spanish.edit(WORDS, "  serum-calcium-test:", "  calcium-of-old: Calcio antiguo\n  serum-calcium-test:")
    assert any("activities: nothing is named 'calcium-of-old' any more" in gap for gap in gaps(spanish.load()))


def test_a_translation_without_its_rule_is_refused(spanish: Rules) -> None:
    spanish.write("advice/low-calcum.es.yaml", LOW_SPANISH)
    assert "advice/low-calcum.es.yaml:1: there is no rule 'low-calcum'; did you mean 'low-calcium'?" in (
        spanish.problems()
    )


def test_a_language_that_has_no_words_is_refused(spanish: Rules) -> None:
    spanish.write("advice/low-calcium.ed.yaml", LOW_SPANISH)
    assert spanish.problems() == ["advice/low-calcium.ed.yaml:1: no language 'ed' in rules/languages"]


def test_a_finding_has_nothing_to_translate(knowledge: KnowledgeBase) -> None:
    findings = {rule.id for rule in knowledge.rules if rule.concludes}
    assert findings
    for language in knowledge.languages.values():
        assert not findings & language.rules.keys()


@pytest.mark.parametrize(("file", "old", "new"), [(LOW, "bajo\n", "bajo.\n"), (WORDS, "Se basa en", "Basado en")])
def test_the_hash_covers_every_language_file(spanish: Rules, file: str, old: str, new: str) -> None:
    before = spanish.load().hash
    spanish.edit(file, old, new)
    assert spanish.load().hash != before


def test_a_translation_changes_no_condition_no_order_and_no_code(knowledge: KnowledgeBase) -> None:
    for language in knowledge.languages.values():
        base = translate(knowledge, language).base
        assert [(r.id, r.when, r.unless, r.hooks, r.suppresses) for r in base.rules] == [
            (r.id, r.when, r.unless, r.hooks, r.suppresses) for r in knowledge.rules
        ]
        assert {name: a.code for name, a in base.activities.items()} == {
            name: a.code for name, a in knowledge.activities.items()
        }
        for own, other in zip(knowledge.rules, base.rules, strict=True):
            if own.then is not None and own.then.card is not None:
                assert other.then is not None
                assert other.then.card is not None
                assert [(s.create, s.remove) for s in other.then.card.suggest] == [
                    (s.create, s.remove) for s in own.then.card.suggest
                ]


@pytest.mark.parametrize(
    ("tag", "text", "said"),
    [
        ("es", "42 days", "42 días"),
        ("es", "1 day", "1 día"),
        ("es", "4000 IU/day", "4000 UI/día"),
        ("es", "3.00 mmol/L (12.0 mg/dL)", "3.00 mmol/L (12.0 mg/dL)"),
        ("zh-Hans", "28 weeks", "28 周"),
        ("zh-Hans", "800 mg/day", "800 mg/d"),
        ("es", "3 fortnights", None),
    ],
)
def test_a_quantity_keeps_its_number_and_changes_its_words(
    knowledge: KnowledgeBase, tag: str, text: str, said: str | None
) -> None:
    assert quantity_in(knowledge.languages[tag], text) == said
