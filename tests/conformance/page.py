"""docs/conformance.md, written from requirements.yaml: `python -m tests.conformance.page`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.requirements import Requirement, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
SPECIFICATION = "https://cds-hooks.hl7.org/2.0/"

HEAD = """\
# Conformance with CDS Hooks 2.0

Each duty of a CDS service in [CDS Hooks 2.0]({specification}), by the number that the list `cds-hooks_2.0` of
[Inferno's CRD test kit](https://github.com/inferno-framework/davinci-crd-test-kit) gives it, in our words, with the
tests that show it. Most of them ask a real service every request of `fixtures/requests` in every language and look at
what comes back. A test fails when a SHALL has none. This page is generated from
`tests/conformance/requirements.yaml`; run the tests by `python -m pytest tests/conformance`.

{count} duties: {strengths}. {shown} are shown by tests, {explained} have a reason instead.
"""

BALLOT = """\
## What the 3.0 ballot adds

Offered where a 2.0 client is not disturbed.

- OperationOutcome on errors: on every answer that is not 2xx (`each_refusal_has_its_status_and_an_operation_outcome`),
  a refused preflight (`a_refused_preflight_is_an_operation_outcome_too`) and bytes that are no HTTP request
  (`bytes_that_are_no_sound_request_are_refused_in_our_own_words`) included.
- `version` and `hookVersion` in discovery: members of each service; `2.0.1`, and the version that the hook's page
  publishes (`each_service_tells_the_versions_that_the_3_0_ballot_adds`).
- Reasons of `http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes`: three general ones are choices on every
  card that has reasons and is not critical (`cards_that_can_wait_offer_the_general_reasons_of_the_ballot`). Our reasons
  keep their own codes; the card's extension `org.prenatal-cds.override-reasons` gives, by our code, the standard coding
  and its `meaning`: `same`, or `narrower` when ours is a kind of the standard one
  (`a_reason_of_ours_names_its_standard_code_beside_the_list`).
- Tokens with FHIRPath and `actionSelectionBehavior`: not used, for a 2.0 client may not know them.
"""


def markdown(requirements: list[Requirement]) -> str:
    strengths = Counter(requirement.strength for requirement in requirements)
    shown = sum(1 for requirement in requirements if requirement.tests)
    head = HEAD.format(
        specification=SPECIFICATION,
        count=len(requirements),
        strengths=", ".join(f"{number} {strength}" for strength, number in strengths.most_common()),
        shown=shown,
        explained=len(requirements) - shown,
    )
    return "\n".join([head, *_sections(requirements), BALLOT])


def _sections(requirements: list[Requirement]) -> Iterator[str]:
    for section in dict.fromkeys(requirement.section for requirement in requirements):
        yield f"## [{section.replace('-', ' ').replace('_1', ' of a call')}]({SPECIFICATION}#{section})\n"
        yield "| id | duty | strength | shown by |\n|---|---|---|---|"
        for row in requirements:
            if row.section == section:
                yield f"| {row.id} | {row.duty} | {row.strength} | {_proof(row)} |"
        yield ""


def _proof(row: Requirement) -> str:
    tests: dict[str, list[str]] = {}
    for test in row.tests:
        path, _, name = test.partition("::")
        tests.setdefault(path, []).append(f"`{name.removeprefix('test_')}`")
    return (
        "; ".join([f"[{path}](../tests/{path}): {', '.join(names)}" for path, names in tests.items()])
        or row.reason
        or f"Not yet: {row.pending}."
    )


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(markdown(load()), encoding="utf-8")
