"""What a service call must look like, and what its refusals say."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from cds.hooks import (
    HookRequest,
    InvalidRequest,
    OrderSelectContext,
    OrderSignContext,
    PatientViewContext,
    parse_request,
)

CANARY = "canary-7d1f"


def _body(hook: str = "order-select") -> dict[str, Any]:
    context: dict[str, Any] = {"userId": "Practitioner/12", "patientId": "mother-1", "encounterId": "e.1"}
    if hook != "patient-view":
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": []}
    if hook == "order-select":
        context["selections"] = ["MedicationRequest/draft-1"]
    return {
        "hook": hook,
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": context,
        "prefetch": {"patient": {"resourceType": "Patient", "id": "mother-1"}, "labs": None},
    }


def _with(path: str, value: Any, hook: str = "order-select") -> dict[str, Any]:
    """The body with one member replaced, or removed when `value` is the type Ellipsis."""
    body = copy.deepcopy(_body(hook))
    *parents, last = path.split(".")
    target = body
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return body


def _refusal(body: object, hook: str = "order-select") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(body, hook=hook)
    return caught.value


@pytest.mark.parametrize(
    ("hook", "context"),
    [
        ("patient-view", PatientViewContext),
        ("order-select", OrderSelectContext),
        ("order-sign", OrderSignContext),
    ],
)
def test_each_hook_has_its_own_context(hook: str, context: type) -> None:
    request = parse_request(_body(hook), hook=hook)
    assert type(request.context) is context
    assert request.hook == hook
    assert (request.context.patient_id, request.context.user_id) == ("mother-1", "Practitioner/12")
    assert request.context.encounter_id == "e.1"


def test_selections_and_draft_orders_arrive_as_they_were_sent() -> None:
    order = {"resource": {"resourceType": "MedicationRequest", "id": "draft-1", "category": {"text": "not a list"}}}
    context = parse_request(
        _with("context.draftOrders", {"resourceType": "Bundle", "entry": [order]}), hook="order-select"
    ).context
    assert isinstance(context, OrderSelectContext)
    assert context.selections == ("MedicationRequest/draft-1",)
    assert context.draft_orders["entry"] == [order]


def test_a_bundle_without_type_or_resource_type_is_accepted_because_browsers_send_it() -> None:
    context = parse_request(_with("context.draftOrders", {"entry": []}), hook="order-select").context
    assert isinstance(context, OrderSelectContext)
    assert context.draft_orders == {"entry": []}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"fullUrl": CANARY},
        {"resource": {"id": CANARY, "status": "draft"}},
        {"resourceType": "MedicationRequest", "id": CANARY},
        {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": CANARY}]}},
    ],
    ids=["null", "empty", "address alone", "no type", "no wrapping", "error of the client"],
)
def test_draft_orders_of_which_none_can_be_read_are_refused_and_not_taken_for_none(entry: Any) -> None:
    """One that can be read is enough: then a card is possible, and says what was not read."""
    error = _refusal(_with("context.draftOrders", {"resourceType": "Bundle", "entry": [entry, entry]}))
    assert error.place == "context.draftOrders"
    assert CANARY not in str(error)
    order = {"resource": {"resourceType": "MedicationRequest"}}
    for entries in ([], [entry, order]):
        parse_request(_with("context.draftOrders", {"resourceType": "Bundle", "entry": entries}), hook="order-select")


@pytest.mark.parametrize("nothing", [..., None, {}])
def test_no_prefetch_null_prefetch_and_empty_prefetch_all_mean_nothing_given(nothing: Any) -> None:
    assert parse_request(_with("prefetch", nothing), hook="order-select").prefetch is None


def test_a_null_prefetch_value_is_kept_because_it_means_looked_and_found_nothing() -> None:
    prefetch = parse_request(_body(), hook="order-select").prefetch
    assert prefetch is not None
    assert prefetch["labs"] is None
    assert "labs" in prefetch


@pytest.mark.parametrize("value", [None, [], "text", 3, {"resourceType": "OperationOutcome"}])
def test_any_json_may_stand_under_a_prefetch_key(value: Any) -> None:
    assert parse_request(_with("prefetch.labs", value), hook="order-select").prefetch == {
        "patient": {"resourceType": "Patient", "id": "mother-1"},
        "labs": value,
    }


def test_unknown_fields_are_ignored_everywhere() -> None:
    body = _with("context.newInVersion3", {"a": 1})
    body["alsoNew"] = [1, 2]
    assert parse_request(body, hook="order-select") == parse_request(_body(), hook="order-select")


def test_python_names_on_the_wire_are_unknown_fields_not_a_second_spelling() -> None:
    body = _with("context.patient_id", "another-mother")
    assert parse_request(body, hook="order-select").context.patient_id == "mother-1"
    del body["context"]["patientId"]
    assert _refusal(body).place == "context.patientId"


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("hook", ..., "hook"),
        ("hook", None, "hook"),
        ("hook", CANARY, "hook"),
        ("hook", "patient-view", "hook"),
        ("hook", ["order-select"], "hook"),
        ("hookInstance", ..., "hookInstance"),
        ("hookInstance", None, "hookInstance"),
        ("hookInstance", CANARY, "hookInstance"),
        ("hookInstance", 12, "hookInstance"),
        ("hookInstance", "{d1577c69-dfbe-44ad-ba6d-3e05e953b2ea}", "hookInstance"),
        ("hookInstance", "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea\n", "hookInstance"),
        ("context", ..., "context"),
        ("context", None, "context"),
        ("context", [CANARY], "context"),
        ("context", CANARY, "context"),
        ("context.userId", ..., "context.userId"),
        ("context.userId", CANARY, "context.userId"),
        ("context.userId", "Practitioner/", "context.userId"),
        ("context.userId", f"https://ehr.example/{CANARY}", "context.userId"),
        ("context.userId", {"reference": CANARY}, "context.userId"),
        ("context.patientId", ..., "context.patientId"),
        ("context.patientId", "", "context.patientId"),
        ("context.patientId", f"Patient/{CANARY}", "context.patientId"),
        ("context.patientId", f"{CANARY}_", "context.patientId"),
        ("context.patientId", f"{CANARY}\n", "context.patientId"),
        ("context.patientId", "١٢٣", "context.patientId"),
        ("context.patientId", "a" * 65, "context.patientId"),
        ("context.patientId", 123, "context.patientId"),
        ("context.encounterId", f"Encounter/{CANARY}", "context.encounterId"),
        ("context.selections", ..., "context.selections"),
        ("context.selections", CANARY, "context.selections"),
        ("context.selections", {CANARY: 1}, "context.selections"),
        ("context.selections", ["MedicationRequest/1", CANARY], "context.selections.1"),
        ("context.selections", [None], "context.selections.0"),
        ("context.draftOrders", ..., "context.draftOrders"),
        ("context.draftOrders", [CANARY], "context.draftOrders"),
        ("context.draftOrders", {}, "context.draftOrders"),
        ("context.draftOrders", {"resourceType": CANARY, "entry": []}, "context.draftOrders"),
        ("context.draftOrders", {"resourceType": "Bundle", "entry": {CANARY: 1}}, "context.draftOrders"),
        ("prefetch", [CANARY], "prefetch"),
        ("prefetch", CANARY, "prefetch"),
        ("fhirServer", {CANARY: 1}, "fhirServer"),
        ("fhirAuthorization", CANARY, "fhirAuthorization"),
        ("fhirAuthorization", {"access_token": CANARY}, "fhirAuthorization.token_type"),
        ("extension", [CANARY], "extension"),
    ],
)
def test_a_faulty_member_is_refused_by_its_place_and_never_by_its_value(path: str, value: Any, place: str) -> None:
    error = _refusal(_with(path, value))
    assert error.place == place
    assert error.problem
    assert error.way_out
    assert str(error).startswith(place)
    assert CANARY not in str(error)
    assert CANARY not in repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("body", [None, [], "text", 3, [CANARY]])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    assert _refusal(body).place == "body"


def test_order_sign_needs_no_selections_but_order_select_does() -> None:
    assert parse_request(_with("hook", "order-sign", "order-sign"), hook="order-sign").hook == "order-sign"
    assert _refusal(_with("context.selections", ...)).problem == "is missing"


@pytest.mark.parametrize("length", [1, 64])
def test_patient_ids_of_one_to_sixty_four_characters_are_accepted(length: int) -> None:
    body = _with("context.patientId", "a" * length)
    assert parse_request(body, hook="order-select").context.patient_id == "a" * length


def test_null_for_an_optional_field_is_the_same_as_leaving_it_out() -> None:
    body = _with("context.encounterId", None)
    body |= {"fhirServer": None, "fhirAuthorization": None, "extension": None}
    request = parse_request(body, hook="order-select")
    assert request.context.encounter_id is None
    assert request.fhir_authorization is None


def _lent(**changes: Any) -> dict[str, Any]:
    access = {
        "access_token": CANARY,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.rs",
        "subject": "prenatal-cds",
        "patient": "mother-1",
    } | changes
    return _body() | {
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {name: value for name, value in access.items() if value is not ...},
    }


def test_the_access_token_is_in_no_representation_of_the_request() -> None:
    request = parse_request(_lent(), hook="order-select")
    access = request.fhir_authorization
    assert access is not None
    assert access.access_token.get_secret_value() == CANARY
    for shown in (repr(request), str(request), repr(access), str(access), str(request.model_dump()), str(vars(access))):
        assert CANARY not in shown


def test_access_without_a_patient_and_with_an_unknown_member_is_accepted() -> None:
    access = parse_request(_lent(patient=..., more=CANARY), hook="order-select").fhir_authorization
    assert access is not None
    assert (access.patient, access.expires_in, access.scope) == (None, 300, "patient/*.rs")


@pytest.mark.parametrize("seconds", [300, 300.0, Decimal("300.0"), Decimal("3E+2")])
def test_the_lifetime_of_a_token_is_a_whole_number_however_it_is_written(seconds: Any) -> None:
    access = parse_request(_lent(expires_in=seconds), hook="order-select").fhir_authorization
    assert access is not None
    assert (access.expires_in, type(access.expires_in)) == (300, int)


def test_access_without_the_server_it_is_for_is_refused() -> None:
    assert _refusal(_lent() | {"fhirServer": None}).place == "fhirServer"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *((name, ...) for name in ("access_token", "token_type", "scope")),
        *((name, {CANARY: 1}) for name in ("access_token", "token_type", "expires_in", "scope", "subject", "patient")),
        ("access_token", ""),
        ("access_token", f"{CANARY}\r\nX-Other: 1"),
        ("access_token", f"{CANARY} {CANARY}"),
        ("access_token", f"{CANARY}é"),
        ("access_token", "a" * 16_385),
        ("token_type", f"MAC{CANARY}"),
        ("expires_in", "300"),
        ("expires_in", 300.5),
        ("expires_in", True),
        ("patient", f"Patient/{CANARY}"),
    ],
)
def test_access_of_the_wrong_form_is_refused_in_our_own_words(member: str, value: Any) -> None:
    error = _refusal(_lent(**{member: value}))
    assert error.place == f"fhirAuthorization.{member}"
    assert error.problem != "is not valid"
    assert "cds-hooks.hl7.org" not in error.way_out
    assert CANARY not in str(error)


def test_a_request_cannot_be_changed_after_it_was_read() -> None:
    request: HookRequest = parse_request(_body(), hook="order-select")
    with pytest.raises(ValueError, match="frozen"):
        request.hook = "order-sign"  # type: ignore[misc]
