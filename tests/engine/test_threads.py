"""Many patients at once through one engine."""

from __future__ import annotations

import threading
from decimal import Decimal

from cds.engine import (
    All,
    Engine,
    Expression,
    Kind,
    Not,
    Op,
    Program,
    Statement,
    Test,
    Truth,
    Value,
    compile_program,
)

THREADS = 8
EVALUATIONS = 1_500


def test_no_patient_sees_another_when_eight_threads_share_an_engine() -> None:
    statements: dict[str, Expression] = {}
    for number in range(THREADS):
        statements[f"mine-{number}"] = All(
            (Test("secret", Op.EQ, Decimal(number)), Test("name", Op.EQ, f"patient {number}"))
        )
        statements[f"next-{number}"] = All((Statement(f"mine-{number}"), Test("flag", Op.EQ, True)))
        statements[f"not-{number}"] = Not(Statement(f"mine-{number}"))
    variables = {"secret": Kind.NUMBER, "name": Kind.TEXT, "flag": Kind.BOOLEAN}
    wrong: list[str] = []
    done: list[int] = []
    start = threading.Barrier(THREADS)

    with Engine(compile_program(Program(variables, statements)), cross_check=False) as engine:

        def patient(number: int) -> None:
            start.wait()
            for turn in range(EVALUATIONS):
                flag = turn % 2 == 0
                values: dict[str, Value] = {
                    "secret": Decimal(number),
                    "name": f"patient {number}",
                    "flag": flag,
                }
                outcome = engine.evaluate(values)
                found = {name for name in statements if outcome.is_true(name)}
                expected = {f"mine-{number}"} | {f"not-{other}" for other in range(THREADS) if other != number}
                if flag:
                    expected.add(f"next-{number}")
                tested = {str(test.constant) for hits in outcome.hits.values() for hit in hits for test in hit.tests}
                shown = any(
                    f"patient {other}" in tested and outcome.truth_of(f"mine-{other}") is Truth.TRUE
                    for other in range(THREADS)
                    if other != number
                )
                if found != expected or shown:
                    wrong.append(f"thread {number}, turn {turn}")
            done.append(number)

        threads = [threading.Thread(target=patient, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert sorted(done) == list(range(THREADS))
