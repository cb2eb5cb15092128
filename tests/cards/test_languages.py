"""Cards in another language: all of a card or nothing of it, and the record's own words stay as they are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cds.advise import Advice, Adviser
from cds.cards import PROOF, Foreign, Untranslated
from cds.facts import Census
from cds.facts.model import Fact
from cds.hooks import Card, parse_request
from cds.knowledge import KnowledgeBase
from cds.knowledge.languages import CARD_WORDS, translate
from cds.knowledge.wording import SUMMARY_LIMIT
from cds.service.json_input import parse_json
from tests.cards.test_text import HARMLESS, HOSTILE, kinds
from tests.knowledge.small_rules import REAL_RULES, Rules, small_rules
from tests.patients import LOINC, NOW, SNOMED, calcium, cramps, draft, due, observation, request, swelling

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
REQUESTS = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))
FIXTURE_NOW = datetime.fromisoformat((FIXTURES / "now.txt").read_text(encoding="utf-8").strip())
TAGS = ("es", "zh-Hans")
# The words that a card puts around its rules, without their slots.
PIECES = {piece.strip(" .,:;()") for text in CARD_WORDS.values() for piece in re.split(r"\{\w+\}", text)}
SCAFFOLD = sorted(piece for piece in PIECES if len(piece) > len("and"))


def advice_of(adviser: Adviser, name: str, tag: str) -> Advice:
    body: Any = parse_json((FIXTURES / "requests" / f"{name}.json").read_bytes())
    return adviser.advise(parse_request(body, hook=body["hook"]), FIXTURE_NOW, tag)


def proof(card: Card) -> Any:
    assert card.extension is not None
    return card.extension[PROOF]


def said_by(card: Card) -> list[str]:
    """What of a card a clinician reads, apart from links and codes."""
    actions = [action.description for suggestion in card.suggestions for action in suggestion.actions]
    reasons = [str(reason.display) for reason in card.override_reasons]
    return [card.summary, card.detail or "", *(s.label for s in card.suggestions), *actions, *reasons]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_card_whose_rules_are_translated_is_in_the_language_from_top_to_bottom(
    adviser: Adviser, knowledge: KnowledgeBase, name: str, tag: str
) -> None:
    translated = translate(knowledge, knowledge.languages[tag]).rules
    english = advice_of(adviser, name, "en")
    advice = advice_of(adviser, name, tag)
    assert len(advice.cards) == len(english.cards)
    for card, own in zip(advice.cards, english.cards, strict=True):
        spoken = all(rule["id"] in translated for rule in proof(card)["rules"])
        assert proof(card)["language"] == (tag if spoken else "en")
        if not spoken:
            continue
        for text in said_by(card):
            assert not [words for words in SCAFFOLD if re.search(rf"\b{re.escape(words)}\b", text)], text
            assert not re.search(r"(?<!\\)[{}]", text)
        assert card.source.topic is not None
        assert own.source.topic is not None
        assert card.source.topic.code == own.source.topic.code
        assert card.source.topic.display != own.source.topic.display
        assert card.summary != own.summary
        assert len(card.summary) <= SUMMARY_LIMIT


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", REQUESTS)
def test_language_changes_neither_indicator_nor_codes_nor_proof(adviser: Adviser, name: str, tag: str) -> None:
    def without_words(resource: Any) -> Any:
        """A proposed resource apart from the texts that a clinician reads."""
        if not resource:
            return resource
        coded = {"code": resource.get("code", {}).get("coding")}
        return {**resource, **coded, "reasonCode": None, "statusReason": None}

    def bones(advice: Advice) -> Any:
        cards = []
        for card in advice.cards:
            known = {key: value for key, value in proof(card).items() if key != "language"}
            actions = [
                (action.type, action.resource_id, without_words(action.resource))
                for suggestion in card.suggestions
                for action in suggestion.actions
            ]
            reasons = [(reason.system, reason.code) for reason in card.override_reasons]
            links = [(link.url, link.type) for link in card.links]
            cards.append((card.indicator, actions, reasons, links, card.selection_behavior, known))
        return cards

    assert bones(advice_of(adviser, name, tag)) == bones(advice_of(adviser, name, "en"))


def untranslated(foreign: Foreign, census: Census) -> Iterator[str]:
    """What the fact layer said that the language has no words for."""
    for fact in census.facts.values():
        for speak, text in ((foreign.line, fact), *((foreign.phrase, remark) for remark in fact.remarks)):
            try:
                speak(text)  # type: ignore[operator]
            except Untranslated:
                yield text.line if isinstance(text, Fact) else str(text)
    for text in (*census.gaps, *census.remarks):
        try:
            foreign.phrase(text)
        except Untranslated:
            yield text


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", REQUESTS)
def test_every_reason_and_remark_about_a_record_has_words(
    adviser: Adviser, knowledge: KnowledgeBase, name: str, tag: str
) -> None:
    foreign = Foreign(knowledge, translate(knowledge, knowledge.languages[tag]))
    assert not list(untranslated(foreign, advice_of(adviser, name, "en").census))


def test_a_spanish_card_reads_as_a_clinician_would_write_it(adviser: Adviser) -> None:
    body = request("order-sign", due(), calcium(2.9), drafts=(draft("calcium carbonate 1250 mg"),))
    card = adviser.advise(body, NOW, "es").cards[0]
    assert card.detail is not None
    assert card.summary == "Hipercalcemia presente: el calcio o la vitamina D no se aconsejan ahora"
    assert "calcium carbonate 1250 mg \\(calcio elemental 1000 mg/día\\)" in card.detail
    assert "- Edad gestacional: 28 semanas 4 días según fecha probable de parto 2027-02-10" in card.detail
    assert card.suggestions[0].label == "Eliminar la orden en borrador"


def test_a_chinese_card_reads_as_a_clinician_would_write_it(adviser: Adviser) -> None:
    card = adviser.advise(request("patient-view", due(), cramps(), swelling()), NOW, "zh-Hans").cards[0]
    assert card.detail is not None
    assert "可能为深静脉血栓" in card.summary
    assert "请勿按摩" in card.summary
    assert "- 孕周：28 周 4 天，依据：预产期 2027-02-10" in card.detail
    assert "。 " not in card.detail
    action = card.suggestions[0].actions[0]
    assert action.resource is not None
    assert action.resource["code"]["text"] == "下肢静脉加压双功能超声"
    assert action.resource["code"]["coding"][0]["display"] == "US.doppler Lower extremity vein"


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_record_text_stays_text_in_every_language(adviser: Adviser, tag: str, text: str) -> None:
    asked = request("order-sign", due(), calcium(2.9), drafts=(draft(f"calcium carbonate 1250 mg {text}"),))
    for card in adviser.advise(asked, NOW, tag).cards:
        assert kinds(card.detail or "") <= HARMLESS | {"strong_open", "strong_close"}
        assert not set(card.summary) & set("<>\n")


@pytest.mark.parametrize("tag", TAGS)
def test_a_product_named_like_one_of_our_sentences_keeps_its_name(adviser: Adviser, tag: str) -> None:
    asked = request("order-sign", due(), calcium(2.9), drafts=(draft("calcium carbonate, not recorded"),))
    card = adviser.advise(asked, NOW, tag).cards[0]
    assert proof(card)["language"] == tag
    assert "calcium carbonate, not recorded" in (card.detail or "")


@pytest.mark.parametrize("tag", TAGS)
def test_a_diagnosis_named_like_one_of_our_words_keeps_its_name(knowledge: KnowledgeBase, tag: str) -> None:
    foreign = Foreign(knowledge, translate(knowledge, knowledge.languages[tag]))
    fact = Fact(("condition", "kidney-stone"), "Kidney stone, now or in the past", "known", {}, "not pregnant")
    assert "not pregnant" in foreign.line(fact)


@pytest.mark.parametrize("tag", TAGS)
def test_a_very_long_text_of_the_record_costs_no_time(knowledge: KnowledgeBase, tag: str) -> None:
    foreign = Foreign(knowledge, translate(knowledge, knowledge.languages[tag]))
    with pytest.raises(Untranslated):
        foreign.phrase("the newest result (" + ") has (" * 100_000 + ") has no number (Observation/x)")


@pytest.mark.parametrize("tag", TAGS)
def test_a_resource_without_id_is_named_in_the_language(knowledge: KnowledgeBase, tag: str) -> None:
    foreign = Foreign(knowledge, translate(knowledge, knowledge.languages[tag]))
    assert "without" not in foreign.phrase("a result is pending (Observation without id)")


@pytest.mark.parametrize("tag", TAGS)
def test_an_item_of_a_questionnaire_is_named_in_the_language(knowledge: KnowledgeBase, tag: str) -> None:
    foreign = Foreign(knowledge, translate(knowledge, knowledge.languages[tag]))
    said = foreign.phrase("not confirmed (QuestionnaireResponse/q1 item 4.2)")
    assert "QuestionnaireResponse/q1" in said
    assert "4.2" in said
    assert "item" not in said


@pytest.mark.parametrize(
    ("tag", "text", "said"),
    [
        (
            "es",
            "at least 1300 mg/day (food 800 mg/day + A (B) 500 mg"
            " (draft, elemental calcium at most 500 mg/day, as needed))",
            "al menos 1300 mg/día (alimentos 800 mg/día + A (B) 500 mg"
            " (borrador, calcio elemental como máximo 500 mg/día, a demanda))",
        ),
        ("zh-Hans", "900 mg/day (food 900 mg/day of 2026-11-01)", "900 mg/d (食物 900 mg/d，2026-11-01)"),
        ("es", "Calcium 500 mg/day plus (not recorded)", "Calcium 500 mg/day plus (not recorded)"),
    ],
)
def test_amounts_in_a_list_are_translated_and_names_are_not(
    knowledge: KnowledgeBase, tag: str, text: str, said: str
) -> None:
    foreign = Foreign(knowledge, translate(knowledge, knowledge.languages[tag]))
    assert foreign.shown(Fact(("intake", "calcium"), "Total calcium intake", "known", {}, text)) == said


# -- what is missing --------------------------------------------------------------------------------------------------

SPANISH = """\
of: 1.0.0
title: Leer un calcio sérico bajo
caution: El calcio total baja con la albúmina.
summary: El calcio sérico {result} es inferior a {calcium-low}
detail: Considere albúmina o calcio ionizado. Un total bajo puede ser solo dilución.
"""


@pytest.fixture
def spanish(tmp_path: Path) -> Rules:
    """The small rules, with the shipped Spanish and one of the rules translated."""
    rules = small_rules(tmp_path)
    (rules.root / "languages").mkdir()
    shutil.copy(REAL_RULES / "languages" / "es.yaml", rules.root / "languages")
    rules.write("advice/low-calcium.es.yaml", SPANISH)
    return rules


def card_in_spanish(rules: Rules, *more: Any) -> Card:
    with Adviser(rules.load()) as adviser:
        status = observation("status", LOINC, "82810-3", valueCodeableConcept=PREGNANT)
        (card,) = adviser.advise(request("patient-view", status, calcium(2.0), *more), NOW, "es").cards
    return card


PREGNANT = {"coding": [{"system": SNOMED, "code": "77386006"}]}


def test_a_translated_rule_speaks(spanish: Rules) -> None:
    card = card_in_spanish(spanish)
    assert card.summary == "El calcio sérico 2 mmol/L es inferior a 2.10 mmol/L"
    assert "Based on" not in (card.detail or "")


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_a_rule_that_lacks_one_text_is_english_as_a_whole(spanish: Rules, line: int) -> None:
    rows = SPANISH.splitlines()
    del rows[line]
    spanish.write("advice/low-calcium.es.yaml", "\n".join(rows) + "\n")
    card = card_in_spanish(spanish)
    assert proof(card)["language"] == "en"
    assert card.summary == "Serum calcium 2 mmol/L is below 2.10 mmol/L"
    assert "calcio" not in (card.detail or "").lower()
    assert card.source.topic is not None
    assert card.source.topic.display == "Read a low serum calcium"
    assert [reason.display for reason in card.override_reasons] == ["Checked elsewhere"]


def test_a_translation_of_an_older_version_is_not_shown(spanish: Rules) -> None:
    spanish.edit("advice/low-calcium.yaml", "version: 1.0.0", "version: 1.1.0")
    assert proof(card_in_spanish(spanish))["language"] == "en"


@pytest.mark.parametrize(
    "line",
    [
        "  based-on: Se basa en\n",
        "  serum-calcium: Calcio total en suero o plasma\n",
        '    "status: pregnant": "estado: embarazada"\n',
    ],
)
def test_a_card_is_english_as_a_whole_when_the_language_lacks_one_word_of_it(spanish: Rules, line: str) -> None:
    spanish.edit("languages/es.yaml", line, "")
    card = card_in_spanish(spanish)
    assert proof(card)["language"] == "en"
    assert "- Pregnancy: current, status: pregnant" in (card.detail or "")


def test_a_language_that_nobody_wrote_is_answered_in_english(adviser: Adviser) -> None:
    cards = adviser.advise(request("patient-view", due(), swelling()), NOW, "fr").cards
    assert {proof(card)["language"] for card in cards} == {"en"}
