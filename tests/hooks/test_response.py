"""One test or more for each duty of an answer; a model that breaks the duty cannot be built."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from cds.hooks import Action, Card, CdsResponse, Coding, Link, Source, Suggestion, operation_outcome, to_json

SOURCE = Source(label="WHO")
ORDER: dict[str, Any] = {"resourceType": "ServiceRequest", "status": "draft"}
REASON = Coding(code="already-done", system="https://example.org/reasons", display="Already done")


def _card(**changed: Any) -> Card:
    members: dict[str, Any] = {"summary": "Check calcium", "indicator": "warning", "source": SOURCE}
    return Card(**(members | changed))


def test_the_smallest_card_has_only_its_three_required_members() -> None:
    assert to_json(_card()) == {
        "summary": "Check calcium",
        "indicator": "warning",
        "source": {"label": "WHO"},
    }


def test_suggestions_without_selection_behavior_cannot_be_sent() -> None:
    with pytest.raises(ValidationError, match="selectionBehavior"):
        _card(suggestions=(Suggestion(label="Order"),))
    assert _card(suggestions=(Suggestion(label="Order"),), selection_behavior="any").suggestions


@pytest.mark.parametrize("behavior", ["all", "at-most-two", ""])
def test_a_selection_behavior_that_clients_do_not_know_cannot_be_sent(behavior: str) -> None:
    with pytest.raises(ValidationError, match="selection_behavior"):
        _card(suggestions=(Suggestion(label="Order"),), selection_behavior=behavior)


def test_only_one_suggestion_may_be_recommended_under_at_most_one() -> None:
    two = (Suggestion(label="A", is_recommended=True), Suggestion(label="B", is_recommended=True))
    with pytest.raises(ValidationError, match="recommended"):
        _card(suggestions=two, selection_behavior="at-most-one")
    assert _card(suggestions=two, selection_behavior="any").suggestions == two
    one = (two[0], Suggestion(label="B", is_recommended=False))
    assert _card(suggestions=one, selection_behavior="at-most-one").suggestions == one


def test_an_override_reason_without_display_cannot_be_sent() -> None:
    with pytest.raises(ValidationError, match="display"):
        _card(override_reasons=(REASON, Coding(code="x", system="https://example.org/reasons")))
    assert _card(override_reasons=(REASON,)).override_reasons == (REASON,)


@pytest.mark.parametrize("missing", ["code", "system"])
def test_a_coding_needs_code_and_system(missing: str) -> None:
    members = {"code": "a", "system": "https://example.org"} | {missing: ""}
    with pytest.raises(ValidationError, match=missing):
        Coding(**members)
    del members[missing]
    with pytest.raises(ValidationError, match=missing):
        Coding(**members)


@pytest.mark.parametrize(("length", "accepted"), [(0, False), (1, True), (139, True), (140, False)])
def test_a_summary_has_fewer_than_140_characters_and_at_least_one(length: int, accepted: bool) -> None:
    if accepted:
        assert len(_card(summary="x" * length).summary) == length
    else:
        with pytest.raises(ValidationError, match="summary"):
            _card(summary="x" * length)


@pytest.mark.parametrize("indicator", ["hard-stop", "success", "Warning", ""])
def test_only_the_three_indicators_of_version_2_exist(indicator: str) -> None:
    with pytest.raises(ValidationError, match="indicator"):
        _card(indicator=indicator)


def test_a_create_action_carries_the_new_resource() -> None:
    with pytest.raises(ValidationError, match="create action without resource"):
        Action(type="create", description="Order")
    assert Action(type="create", description="Order", resource=ORDER).resource == ORDER


def test_an_update_action_carries_the_entire_resource_with_its_id() -> None:
    for resource in (None, ORDER):
        with pytest.raises(ValidationError, match="update action"):
            Action(type="update", description="Change", resource=resource)
    assert Action(type="update", description="Change", resource=ORDER | {"id": "1"}).resource


def test_a_delete_action_names_its_resource_and_carries_none() -> None:
    with pytest.raises(ValidationError, match="delete action"):
        Action(type="delete", description="Remove")
    with pytest.raises(ValidationError, match="delete action"):
        Action(type="delete", description="Remove", resource_id="ServiceRequest/1", resource=ORDER)
    with pytest.raises(ValidationError, match="resource_id"):
        Action(type="delete", description="Remove", resource_id="1")
    action = Action(type="delete", description="Remove", resource_id="ServiceRequest/1")
    assert to_json(action) == {"type": "delete", "description": "Remove", "resourceId": "ServiceRequest/1"}


def test_an_action_needs_a_type_of_the_list_and_a_description() -> None:
    with pytest.raises(ValidationError, match="type"):
        Action(type="replace", description="Order", resource=ORDER)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="description"):
        Action(type="create", description="", resource=ORDER)


@pytest.mark.parametrize("resource", [{}, {"status": "draft"}, {"resourceType": ""}, {"resourceType": 3}])
def test_a_resource_without_its_type_is_not_fhir(resource: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="resourceType"):
        Action(type="create", description="Order", resource=resource)


def test_app_context_belongs_to_smart_links_only() -> None:
    with pytest.raises(ValidationError, match="appContext"):
        Link(label="Read", url="https://example.org/a", type="absolute", app_context="x")
    assert Link(label="Open", url="https://example.org/a", type="smart", app_context="x").app_context == "x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "guide.html",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "http://[",
        "https://a b",
    ],
)
def test_links_and_sources_point_to_absolute_web_addresses(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        Link(label="Read", url=url, type="absolute")
    with pytest.raises(ValidationError, match="url"):
        Source(label="WHO", url=url)
    with pytest.raises(ValidationError, match="icon"):
        Source(label="WHO", icon=url)


def test_an_extension_is_an_object_with_reverse_domain_names() -> None:
    with pytest.raises(ValidationError, match="reverse domain"):
        _card(extension={"trace": {}})
    with pytest.raises(ValidationError, match="extension"):
        _card(extension=["org.example.trace"])
    assert to_json(_card(extension={"org.example.trace": {"rule": "x"}}))["extension"] == {
        "org.example.trace": {"rule": "x"}
    }


def test_cards_and_suggestions_never_share_a_uuid() -> None:
    with pytest.raises(ValidationError, match="uuid"):
        CdsResponse(cards=(_card(uuid="a"), _card(uuid="a")))
    shared = _card(uuid="a", suggestions=(Suggestion(label="Order", uuid="a"),), selection_behavior="any")
    with pytest.raises(ValidationError, match="uuid"):
        CdsResponse(cards=(shared,))
    assert len(CdsResponse(cards=(_card(uuid="a"), _card(uuid="b"), _card(), _card())).cards) == 4


def test_no_advice_is_an_empty_array_of_cards_not_an_empty_object() -> None:
    assert to_json(CdsResponse()) == {"cards": []}


def test_empty_members_never_reach_the_wire() -> None:
    card = _card(
        suggestions=(Suggestion(label="Order", is_recommended=False, actions=()),),
        selection_behavior="any",
        extension={"org.example.trace": {"none": None, "list": [], "text": "", "object": {}, "zero": 0, "no": False}},
    )
    assert to_json(CdsResponse(cards=(card,))) == {
        "cards": [
            {
                "summary": "Check calcium",
                "indicator": "warning",
                "source": {"label": "WHO"},
                "suggestions": [{"label": "Order", "isRecommended": False}],
                "selectionBehavior": "any",
                "extension": {"org.example.trace": {"zero": 0, "no": False}},
            }
        ]
    }


def test_numbers_and_paired_nulls_of_a_resource_are_left_alone() -> None:
    resource = ORDER | {"quantity": Decimal("2.050"), "given": [None, "Ana"], "_given": [{"id": "a"}, None]}
    written = to_json(Action(type="create", description="Order", resource=resource))
    assert written["resource"] == resource
    assert str(written["resource"]["quantity"]) == "2.050"


def test_wire_names_are_camel_case() -> None:
    card = _card(
        override_reasons=(REASON,),
        links=(Link(label="Open", url="https://example.org", type="smart", app_context="x", autolaunchable=False),),
    )
    written = to_json(card)
    assert "overrideReasons" in written
    assert written["links"] == [
        {
            "label": "Open",
            "url": "https://example.org",
            "type": "smart",
            "appContext": "x",
            "autolaunchable": False,
        }
    ]


def test_a_faulty_answer_is_refused_without_quoting_it() -> None:
    with pytest.raises(ValidationError) as caught:
        _card(summary="canary-7d1f" * 20)
    assert "canary" not in str(caught.value)


def test_a_card_cannot_be_changed_after_it_was_built() -> None:
    card = _card()
    with pytest.raises(ValidationError, match="frozen"):
        card.summary = "Other"  # type: ignore[misc]


def test_an_outcome_says_its_text_where_each_client_looks_for_it() -> None:
    outcome = operation_outcome("error", "incomplete", "No data.")
    assert outcome["resourceType"] == "OperationOutcome"
    (issue,) = outcome["issue"]
    assert (issue["severity"], issue["code"]) == ("error", "incomplete")
    assert issue["details"]["text"] == issue["diagnostics"] == "No data."
