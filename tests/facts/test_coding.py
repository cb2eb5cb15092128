"""Words and codes: what a text states or denies, and under which names a code system comes."""

from __future__ import annotations

import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.facts.coding import by_code, codings, denies, normal_system, says, texts
from tests.facts.charts import fact_of, knowledge, observation

PHRASES = ("swelling", "swollen calf")


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("swelling", True),
        ("Swellings of both legs", True),
        ("counterswelling", None),
        ("no swelling", False),
        ("swelling: none", False),
        ("swelling was denied", False),
        ("swelling has resolved", False),
        ("swelling not resolved", True),
        ("swelling - no redness", True),
        ("no pain with swelling", True),
        ("no known allergies, swelling of the leg", True),
        ("no drug allergies presenting with swelling", True),
        ("no fever and the swelling is new", True),
        ("no fever and swelling", None),
        ("no redness or swelling", False),
        ("not seen by a doctor since last week when the swelling began", True),
        ("no one two three four five six swelling", False),
        ("no one two three four five six seven swelling", True),
        ("no swelling. Swollen calf today", True),
        ("not sure about swelling", True),
        ("without relief of swelling", True),
        ("her mother had swelling", None),
        ("", None),
    ],
)
def test_a_text_states_denies_or_leaves_open(text: str, stated: bool | None) -> None:
    assert says(text, PHRASES) is (stated is True)
    assert denies(text, PHRASES) is (stated is False)


def test_a_longer_phrase_that_is_excepted_is_no_finding_but_the_rest_still_counts() -> None:
    assert not says("history of swelling", PHRASES, ("history of swelling",))
    assert says("history of swelling; swelling today", PHRASES, ("history of swelling",))
    assert not says("swelling", (), ())


@given(st.text(max_size=200))
def test_no_text_is_both_stated_and_denied(text: str) -> None:
    assert not (says(text, PHRASES) and denies(text, PHRASES))


@pytest.mark.parametrize(
    "system",
    [
        "http://snomed.info/sct",
        "https://snomed.info/sct/",
        " http://snomed.info/sct ",
        "http://snomed.info/sct|http://snomed.info/sct/900000000000207008",
        "http://snomed.info/sct/731000124108",
        "urn:oid:2.16.840.1.113883.6.96",
    ],
)
def test_a_code_system_is_known_under_all_its_names(system: str) -> None:
    assert normal_system(system) == "http://snomed.info/sct"
    assert "leg-cramps" in {
        m.concept for m in by_code(knowledge(), {"coding": [{"system": system, "code": " 449917004 "}]})
    }


@pytest.mark.parametrize(
    "concept", [None, 5, "x", [], {}, {"coding": 5}, {"coding": [5, None, {"system": 1, "code": 2}]}]
)
def test_what_is_no_concept_has_no_codes_and_no_text(concept: object) -> None:
    assert list(codings(concept)) == []
    assert texts(concept) == ()


def test_a_single_coding_where_a_list_should_be_is_read() -> None:
    alone = {"coding": {"system": "s", "code": "c", "display": "d"}, "text": " "}
    assert list(codings(alone)) == [("s", "c", "d")]
    assert texts(alone) == ("d",)


def test_no_text_of_a_patient_outlives_its_request() -> None:
    said = "".join(["swelling of the left calf ", "since Tuesday"])
    before = sys.getrefcount(said)
    fact = fact_of("symptom", "leg-swelling", observation({"text": "note"}, valueString=said))
    assert fact.state == "known"
    del fact
    gc.collect()
    assert sys.getrefcount(said) == before
