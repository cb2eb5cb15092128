"""What discovery may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cds.hooks import Discovery, ServiceEntry, to_json


def _entry(**members: Any) -> ServiceEntry:
    return ServiceEntry(**{"hook": "patient-view", "id": "a-service", "description": "Says something."} | members)


def test_no_services_is_an_empty_array() -> None:
    assert to_json(Discovery()) == {"services": []}


def test_an_entry_shows_its_members_by_their_wire_names() -> None:
    entry = _entry(
        title="Title",
        prefetch={"patient": "Patient/{{context.patientId}}"},
        usage_requirements="None.",
    )
    assert to_json(Discovery(services=(entry,))) == {
        "services": [
            {
                "hook": "patient-view",
                "id": "a-service",
                "title": "Title",
                "description": "Says something.",
                "prefetch": {"patient": "Patient/{{context.patientId}}"},
                "usageRequirements": "None.",
            }
        ]
    }


def test_an_entry_without_prefetch_says_nothing_about_prefetch() -> None:
    assert "prefetch" not in to_json(_entry())


@pytest.mark.parametrize("missing", ["hook", "id", "description"])
def test_hook_id_and_description_are_required(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        _entry(**{missing: ""})


@pytest.mark.parametrize("identifier", ["a/b", "a b", "a?b", "..", "ä"])
def test_an_id_is_one_segment_of_a_url(identifier: str) -> None:
    with pytest.raises(ValidationError, match="id"):
        _entry(id=identifier)


@pytest.mark.parametrize(
    "template",
    [
        "Patient/{{context.patientId}}",
        "Observation?patient={{context.patientId}}&code=http://loinc.org|17861-6&_sort=-date&_count=20",
        "{{context.userId}}",
        "Practitioner/{{userPractitionerId}}",
    ],
)
def test_templates_of_the_recommended_subset_are_accepted(template: str) -> None:
    assert _entry(prefetch={"key": template}).prefetch == {"key": template}


@pytest.mark.parametrize(
    "template",
    [
        "https://ehr.example/Patient/{{context.patientId}}",
        "/Patient/{{context.patientId}}",
        "Patient/{{patientId}}",
        "Patient/{{context.draftOrders.entry.id}}",
        "Observation?date=ge{{today()}}",
        "Patient/{{context.patientId}",
        "Patient/{{%patient.id}}",
        "",
    ],
)
def test_templates_that_a_2_0_client_cannot_fill_are_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="prefetch"):
        _entry(prefetch={"key": template})


def test_one_id_may_serve_two_hooks_but_not_the_same_hook_twice() -> None:
    assert len(Discovery(services=(_entry(), _entry(hook="order-sign"))).services) == 2
    with pytest.raises(ValidationError, match="share hook and id"):
        Discovery(services=(_entry(), _entry(title="Again")))
