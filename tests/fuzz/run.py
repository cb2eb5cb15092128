"""Coverage-guided fuzzing by atheris: `python -m tests.fuzz.run parser|request|advice FOLDER SECONDS`.

FOLDER keeps the inputs that reached something new; an input that breaks a target is written there as crash-*, and the
exit code is not 0. Beginning from the same folder goes on where the last run stopped.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cds"]):
    from tests.fuzz import targets


def _advice(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    targets.advice(lambda most: provider.ConsumeIntInRange(0, most - 1))


def main(name: str, folder: str, seconds: str) -> None:
    target = {"parser": targets.parser, "request": targets.request, "advice": _advice}[name]
    corpus = Path(folder) / name
    corpus.mkdir(parents=True, exist_ok=True)
    dice = random.Random(1)
    for seed in targets.SEEDS:
        # The input of `advice` is a row of choices, not JSON.
        (corpus / seed.stem).write_bytes(dice.randbytes(64) if name == "advice" else seed.read_bytes())
    bounds = [f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=2000", "-max_len=8192", "-len_control=0"]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={corpus}/crash-", *bounds], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
