"""Every card of every golden request in every language, against the tables of the specification."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest
from fhir.resources.R4B import get_fhir_model_class
from markdown_it import MarkdownIt

from tests.conformance.conftest import Answer

CARD = {
    "uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons", "links",
    "extension",
}  # fmt: skip
SUGGESTION = {"label", "uuid", "isRecommended", "actions", "extension"}
ACTION = {"type", "description", "resource", "resourceId", "extension"}
LINK = {"label", "url", "type", "appContext", "autolaunchable", "extension"}
SOURCE = {"label", "url", "icon", "topic", "extension"}
URGENCY = ("critical", "warning", "info")
STANDARD = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"


def absolute(url: Any) -> bool:
    return isinstance(url, str) and urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)


def text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def of_type(actions: list[Any], kind: str) -> list[Any]:
    found = [action for action in actions if action["type"] == kind]
    assert found
    return found


def test_objects_have_only_members_that_2_0_knows(
    cards: list[Any], suggestions: list[Any], actions: list[Any], links: list[Any]
) -> None:
    """Above all no actionSelectionBehavior: to a 2.0 client all actions of a suggestion belong together."""
    assert set().union(*cards) <= CARD
    assert set().union(*suggestions) <= SUGGESTION
    assert set().union(*actions) <= ACTION
    assert set().union(*links) <= LINK
    assert set().union(*(card["source"] for card in cards)) <= SOURCE


def test_each_card_and_each_suggestion_has_a_uuid_of_its_own(cards: list[Any], suggestions: list[Any]) -> None:
    given = [found["uuid"] for found in (*cards, *suggestions)]
    assert all(str(uuid.UUID(one)) == one and uuid.UUID(one).version == 4 for one in given)
    assert len(set(given)) == len(given)


def test_a_summary_has_fewer_than_140_characters(cards: list[Any]) -> None:
    assert all(text(card["summary"]) and len(card["summary"]) < 140 for card in cards)
    assert not any("\n" in card["summary"] for card in cards)


def test_the_detail_is_github_flavoured_markdown_without_html(cards: list[Any]) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for detail in {card["detail"] for card in cards}:
        blocks = reader.parse(detail)
        kinds = {token.type for block in blocks for token in (block, *(block.children or ()))}
        assert {"paragraph_open", "list_item_open", "strong_open"} <= kinds
        assert kinds.isdisjoint({"html_block", "html_inline", "image", "link_open", "table_open", "code_block"})


def test_the_indicator_is_one_of_three_words(cards: list[Any]) -> None:
    assert {card["indicator"] for card in cards} == set(URGENCY)


def test_the_most_urgent_card_comes_first(answers: list[Answer]) -> None:
    for answer in answers:
        ranks = [URGENCY.index(card["indicator"]) for card in answer.cards]
        assert ranks == sorted(ranks), answer.name


def test_each_card_names_its_source(cards: list[Any]) -> None:
    for card in cards:
        assert text(card["source"]["label"])
        assert absolute(card["source"].get("url", "https://none.example"))
    assert any("url" in card["source"] for card in cards)


def test_the_url_of_a_source_is_about_the_source_and_not_about_the_patient(
    answers: list[Answer], cards: list[Any]
) -> None:
    urls: dict[str, set[Any]] = {}
    for card in cards:
        urls.setdefault(card["source"]["topic"]["code"], set()).add(card["source"].get("url"))
    assert all(len(found) == 1 for found in urls.values()), "one rule, one source, whoever the patient is"
    for answer in answers:
        patient = answer.request["context"]["patientId"]
        assert not any(patient in card["source"].get("url", "") for card in answer.cards)


def test_no_source_has_an_icon(cards: list[Any]) -> None:
    assert not any("icon" in card["source"] for card in cards)


def test_the_topic_is_a_coding(cards: list[Any]) -> None:
    for card in cards:
        assert set(card["source"]["topic"]) == {"code", "system", "display"}


def test_each_coding_has_code_and_system(cards: list[Any]) -> None:
    codings = [card["source"]["topic"] for card in cards]
    codings += [reason for card in cards for reason in card.get("overrideReasons", ())]
    assert all(text(coding["code"]) and absolute(coding["system"]) for coding in codings)
    assert all(text(coding["display"]) for coding in codings)


def test_suggestions_come_with_a_selection_behaviour(cards: list[Any]) -> None:
    with_suggestions = [card for card in cards if "suggestions" in card]
    assert with_suggestions
    assert all(isinstance(card["suggestions"], list) for card in with_suggestions)
    assert {card["selectionBehavior"] for card in with_suggestions} == {"at-most-one", "any"}
    assert not any("selectionBehavior" in card for card in cards if "suggestions" not in card)


def test_override_reasons_are_codings_that_a_clinician_can_read(cards: list[Any]) -> None:
    offering = [card["overrideReasons"] for card in cards if "overrideReasons" in card]
    assert offering
    for reasons in offering:
        assert all(set(reason) == {"code", "system", "display"} for reason in reasons)
        assert all(text(reason["display"]) for reason in reasons)
        pairs = [(reason["system"], reason["code"]) for reason in reasons]
        assert len(set(pairs)) == len(pairs)


def test_a_suggestion_has_a_label_and_a_list_of_actions(suggestions: list[Any]) -> None:
    assert all(text(suggestion["label"]) for suggestion in suggestions)
    assert all(isinstance(suggestion["actions"], list) and suggestion["actions"] for suggestion in suggestions)


def test_no_suggestion_is_marked_as_recommended(suggestions: list[Any]) -> None:
    """Which of several legal choices is better is the clinician's to say."""
    assert not any("isRecommended" in suggestion for suggestion in suggestions)


def test_an_action_says_what_it_does(actions: list[Any]) -> None:
    assert {action["type"] for action in actions} <= {"create", "update", "delete"}
    assert all(text(action["description"]) for action in actions)


def test_a_resource_of_an_action_is_a_fhir_resource(actions: list[Any]) -> None:
    resources = [action["resource"] for action in actions if "resource" in action]
    assert resources
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_create_holds_a_new_resource(actions: list[Any]) -> None:
    for action in of_type(actions, "create"):
        assert "id" not in action["resource"]
        assert "resourceId" not in action


def test_update_holds_the_whole_resource(answers: list[Answer]) -> None:
    seen = 0
    for answer in answers:
        bundles = [part for part in answer.request["prefetch"].values() if part and part["resourceType"] == "Bundle"]
        entries = [entry["resource"] for bundle in bundles for entry in bundle.get("entry", ())]
        known = {(resource["resourceType"], resource.get("id")): resource for resource in entries}
        chosen = [s for card in answer.cards for s in card.get("suggestions", ())]
        for action in [action for suggestion in chosen for action in suggestion["actions"]]:
            if action["type"] == "update":
                seen += 1
                new = action["resource"]
                old = known[new["resourceType"], new["id"]]
                assert {name: new[name] for name in old if name not in ("status", "statusReason")} == {
                    name: value for name, value in old.items() if name not in ("status", "statusReason")
                }
    assert seen


def test_delete_names_the_resource_and_holds_none(actions: list[Any]) -> None:
    for action in of_type(actions, "delete"):
        assert re.fullmatch(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}", action["resourceId"])
        assert "resource" not in action


def test_delete_and_update_name_only_what_the_client_sent(answers: list[Answer]) -> None:
    for answer in answers:
        sent = str(answer.request)
        chosen = [s for card in answer.cards for s in card.get("suggestions", ())]
        for action in [action for suggestion in chosen for action in suggestion["actions"]]:
            if action["type"] != "create":
                name = action.get("resourceId") or action["resource"]["id"]
                assert f"'{name.rpartition('/')[2]}'" in sent


def test_a_link_has_label_absolute_url_and_type(links: list[Any]) -> None:
    for link in links:
        assert text(link["label"])
        assert absolute(link["url"])
        assert link["type"] in {"absolute", "smart"}


def test_no_link_carries_context_for_an_app(links: list[Any]) -> None:
    assert {link["type"] for link in links} == {"absolute"}
    assert not any("appContext" in link for link in links)


def test_no_link_asks_to_be_launched_without_showing_the_card(links: list[Any]) -> None:
    assert not any("autolaunchable" in link for link in links)


# -- the reasons of the 3.0 ballot ------------------------------------------------------------------------------------


def test_cards_that_can_wait_offer_the_general_reasons_of_the_ballot(cards: list[Any]) -> None:
    general = ["patient-contraindication", "need-more-info", "limited-time"]
    for card in cards:
        reasons = card.get("overrideReasons", [])
        found = [reason["code"] for reason in reasons if reason["system"] == STANDARD]
        assert found == (general if reasons and card["indicator"] != "critical" else []), card["summary"]


@pytest.mark.parametrize(
    ("code", "display"),
    [
        ("patient-contraindication", "Patient has contraindication to recommended action"),
        (
            "need-more-info",
            "Could not address recommended action due to need for more information/pending results/pending consult",
        ),
        ("limited-time", "Could not address recommended action due to limited time"),
    ],
)
def test_a_general_reason_has_the_display_that_is_published(cards: list[Any], code: str, display: str) -> None:
    english = [card for card in cards if card["extension"]["org.prenatal-cds.proof"]["language"] == "en"]
    reasons = [reason for card in english for reason in card.get("overrideReasons", ()) if reason["system"] == STANDARD]
    assert {reason["display"] for reason in reasons if reason["code"] == code} == {display}
    others = [card for card in cards if card not in english]
    foreign = {reason["display"] for card in others for reason in card.get("overrideReasons", ())}
    assert display not in foreign


def test_a_reason_of_ours_names_its_standard_code_beside_the_list(cards: list[Any]) -> None:
    seen: set[str] = set()
    for card in cards:
        own = {reason["code"] for reason in card.get("overrideReasons", ()) if reason["system"] != STANDARD}
        alike = card["extension"].get("org.prenatal-cds.override-reasons", {})
        assert set(alike) <= own
        for code, standard in alike.items():
            seen.add(code)
            assert standard["system"] == STANDARD
            assert standard["meaning"] in {"same", "narrower"}
            assert text(standard["code"])
            assert text(standard["display"])
    assert {"patient-declines", "checked-elsewhere"} <= seen
