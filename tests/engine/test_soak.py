"""Memory over 200,000 evaluations of a program like ours, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EVALUATIONS = 200_000
WARM_UP = 10_000
# Python's own arenas move by 1-2 MiB; a leak of only 64 bytes per evaluation would show as 12 MiB.
MAX_GROWTH_MIB = 8

SOAK = f"""
import json, resource, time
from decimal import Decimal
from pathlib import Path
from random import Random
from cds.engine import *

def mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

random = Random(1)
variables = {{f"n{{i}}": Kind.NUMBER for i in range(30)}}
variables |= {{f"b{{i}}": Kind.BOOLEAN for i in range(20)}}
variables |= {{f"t{{i}}": Kind.TEXT for i in range(10)}}
statements = {{}}
for i in range(40):
    tests = [
        Test(f"n{{i % 30}}", Op.LT, Decimal(i)),
        Test(f"b{{(i + 7) % 20}}", Op.EQ, True),
        Not(Definitely(Test(f"n{{(i + 3) % 30}}", Op.GE, Decimal(35)))),
    ]
    if i % 4 == 0:
        tests.append(Any((Test(f"b{{i % 20}}", Op.EQ, True), Test(f"t{{i % 10}}", Op.EQ, "vegan"))))
    if i % 10 == 9:
        tests += [Not(Statement(f"s{{i - 9}}")), Not(Definitely(Statement(f"s{{i - 8}}")))]
    statements[f"s{{i}}"] = All(tuple(tests))
program = Program(variables, statements)

def patient():
    values = {{}}
    for name, kind in variables.items():
        if random.random() < 0.7:
            values[name] = {{
                Kind.NUMBER: Decimal(random.randrange(400)) / 10,
                Kind.BOOLEAN: random.random() < 0.3,
                Kind.TEXT: random.choice(("vegan", "omnivore")),
            }}[kind]
    return values

patients = [patient() for _ in range(500)]
engine = Engine(compile_program(program))
fired = 0
for turn in range({WARM_UP}):
    engine.evaluate(patients[turn % 500])
before, start = mib(), time.process_time()
highest = before
for turn in range({EVALUATIONS}):
    fired += len(engine.evaluate(patients[turn % 500]).hits)
    if turn % 1000 == 0:
        highest = max(highest, mib())
seconds = time.process_time() - start
print(json.dumps({{
    "before_mib": before, "after_mib": mib(), "highest_mib": highest, "fired": fired,
    "us": round(seconds / {EVALUATIONS} * 1e6), "strata": len(engine.compiled.strata),
    "branches": sum(len(stratum.branches) for stratum in engine.compiled.strata),
}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident size from /proc")
def test_memory_stays_flat_over_two_hundred_thousand_evaluations() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SOAK],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(f"\n{EVALUATIONS} evaluations: {found}")
    assert found["fired"] > EVALUATIONS
    assert found["strata"] >= 3
    assert found["highest_mib"] - found["before_mib"] < MAX_GROWTH_MIB
