"""No fact of one patient in another's card: eight threads, one adviser, a secret marker in every patient."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cds.advise import Adviser
from cds.hooks import HookRequest, to_json
from tests.patients import NOW, albumin, calcium, cramps, draft, due, request, swelling

THREADS, ROUNDS = 8, 150


def marked(number: int) -> HookRequest:
    """A patient whose ids, drug name and values all carry her own marker; who she is decides which cards she gets."""
    mark = f"marker{number:04d}"
    drug = draft(f"Calcium Carbonate 1250 MG {mark}", f"order-{mark}")
    person = f"patient-{mark}"
    rows: list[dict[str, Any]] = [due()]
    if number % 4 == 1:
        rows += [calcium(2.9), albumin(36)]
    if number % 4 == 2:
        rows += [cramps()]
    if number % 4 == 3:
        rows += [swelling()]
    rows = [{**row, "id": f"{row['id']}-{mark}"} for row in rows]
    hook = "patient-view" if number % 4 >= 2 else "order-sign"
    return request(hook, *rows, drafts=(drug,), patient_id=person)


def markers(adviser: Adviser, asked: HookRequest) -> tuple[set[str], str]:
    advice = adviser.advise(asked, NOW)
    text = json.dumps(to_json(advice.response()), default=str)
    found = {text[i : i + 10] for i in range(len(text)) if text.startswith("marker", i)}
    return found, "/".join(c.source.topic.code for c in advice.cards if c.source.topic)


def test_eight_threads_never_show_the_marker_of_another_patient(adviser: Adviser) -> None:
    expected = {n: markers(adviser, marked(n)) for n in range(THREADS)}
    assert len({topics for _, topics in expected.values()}) == 4
    start = threading.Barrier(THREADS)

    def work(number: int) -> int:
        start.wait()
        for _ in range(ROUNDS):
            assert markers(adviser, marked(number)) == expected[number]
        return ROUNDS

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == THREADS * ROUNDS
    for number, (found, _) in expected.items():
        assert found == {f"marker{number:04d}"}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9999), min_size=2, max_size=8))
def test_the_order_of_patients_never_matters(adviser: Adviser, numbers: list[int]) -> None:
    for number in numbers:
        found, _ = markers(adviser, marked(number))
        assert found == {f"marker{number:04d}"}
