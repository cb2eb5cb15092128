"""What a scope lets us fetch, in the spellings of SMART App Launch 1 and 2."""

from __future__ import annotations

import pytest

from cds.service.fhir.scopes import Reach, reach, read_scopes

NONE, PART, FULL = Reach.NONE, Reach.PART, Reach.FULL


@pytest.mark.parametrize(
    ("scope", "read", "search"),
    [
        ("patient/Observation.read", FULL, FULL),
        ("patient/Observation.*", FULL, FULL),
        ("patient/*.read", FULL, FULL),
        ("patient/*.*", FULL, FULL),
        ("user/*.read", FULL, FULL),
        ("system/Observation.read", FULL, FULL),
        ("patient/Observation.rs", FULL, FULL),
        ("patient/Observation.cruds", FULL, FULL),
        ("patient/*.rs", FULL, FULL),
        ("system/*.cruds", FULL, FULL),
        ("patient/Observation.r", FULL, NONE),
        ("patient/Observation.s", NONE, FULL),
        ("patient/Observation.r patient/Observation.s", FULL, FULL),
        ("patient/Observation.rs?category=laboratory", FULL, PART),
        ("patient/*.rs?_security=N", FULL, PART),
        ("patient/Observation.rs?category=laboratory patient/Observation.rs", FULL, FULL),
        ("launch openid fhirUser patient/Observation.rs offline_access", FULL, FULL),
        ("  patient/Observation.rs\n", FULL, FULL),
        ("", NONE, NONE),
        ("patient/Observation.write", NONE, NONE),
        ("patient/Observation.cud", NONE, NONE),
        ("patient/Observation.", NONE, NONE),
        ("patient/Observation", NONE, NONE),
        ("patient/Condition.rs patient/Patient.read", NONE, NONE),
        ("patient/ObservationDefinition.rs", NONE, NONE),
        ("patient/observation.rs", NONE, NONE),
        ("launch/patient openid fhirUser profile online_access", NONE, NONE),
        ("launch/Observation.rs", NONE, NONE),
        ("practitioner/Observation.rs", NONE, NONE),
        ("patient/Observation.sr", NONE, NONE),
        ("patient/Observation.rs,patient/*.rs", NONE, NONE),
        ("patient/**.rs", NONE, NONE),
    ],
)
def test_a_scope_allows_what_it_says_and_nothing_else(scope: str, read: Reach, search: Reach) -> None:
    grants = read_scopes(scope)
    assert reach(grants, "Observation", "read", token_is_hers=True) is read
    assert reach(grants, "Observation", "search", token_is_hers=True) is search


@pytest.mark.parametrize(
    ("scope", "search"),
    [
        ("patient/Observation.rs", PART),
        ("patient/Observation.read", PART),
        ("user/Observation.rs", FULL),
        ("system/*.read", FULL),
        ("patient/*.rs user/Observation.rs", FULL),
        ("patient/*.rs user/Observation.rs?category=laboratory", PART),
    ],
)
def test_a_scope_for_an_unknown_patient_proves_no_absence(scope: str, search: Reach) -> None:
    grants = read_scopes(scope)
    assert reach(grants, "Observation", "search", token_is_hers=False) is search
    assert reach(grants, "Observation", "read", token_is_hers=False) is FULL
