"""A rules folder of two rules, small enough to break on purpose; codes and units are those of the real value sets."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cds.knowledge import KnowledgeBase, KnowledgeError, load_cases, load_knowledge

REAL_RULES = Path(__file__).resolve().parents[2] / "rules"

FACT_LIMITS = {
    "gestation-longest": "308 d",
    "due-date-passed": "21 d",
    "pregnancy-condition-lookback": "300 d",
    "pregnancy-status-lookback": "300 d",
    "due-date-recent": "294 d",
    "dating-disagreement": "7 d",
    "early-ultrasound-limit": "97 d",
    "diet-window": "56 d",
    "total-calcium-plausible-low": "1.00 mmol/L",
    "total-calcium-plausible-high": "5.00 mmol/L",
    "ionised-calcium-plausible-low": "0.50 mmol/L",
    "ionised-calcium-plausible-high": "3.00 mmol/L",
    "calf-difference": "2 cm",
    "albumin-reference": "40 g/L",
    "creatinine-plausible-low": "10 umol/L",
    "creatinine-plausible-high": "10000 umol/L",
    "magnesium-plausible-low": "0.1 mmol/L",
    "magnesium-plausible-high": "10 mmol/L",
    "albumin-plausible-low": "10 g/L",
    "albumin-plausible-high": "70 g/L",
    "albumin-adjustment-factor": "0.02 mmol/g",
}


def threshold(name: str, quantity: str, confidence: str = "VERIFIED") -> str:
    """One entry of a thresholds file; ``quantity`` is a number and its unit."""
    value, unit = quantity.split()
    return (
        f"{name}:\n  value: {value}\n  unit: {unit}\n  meaning: A number for tests\n  catalogue: T00\n"
        f"  confidence: {confidence}\n  evidence: [{{source: local-policy}}]\n"
    )


MISSING_RULE = """\
id: calcium-test-missing
title: Offer a calcium test when none is recent
version: 1.0.0
status: draft
date: 2026-11-22
catalogue: XX-01
hooks: [patient-view]
evidence:
  - {source: local-policy, section: tests, supports: tests}
strength: policy
caution: A test elsewhere is not seen.
when:
  - {gestation: pregnant}
  - {lab: serum-calcium, not_measured_within: calcium-recency}
unless:
  - {request: serum-calcium, open_within: order-window}
then:
  indicator: info
  summary: No serum calcium in {calcium-recency}
  detail: Consider measuring calcium. Ask about tests at other hospitals.
  suggest:
    - {label: Request serum calcium, create: [serum-calcium-test]}
  override_reasons: [checked-elsewhere]
"""

MISSING_CASES = """\
today: 2026-11-22
base:
  - {gestation: pregnant}
  - {lab: serum-calcium, absent: true}
  - {request: serum-calcium, absent: true}
cases:
  - name: calcium was never measured
    expect: fires
    indicator: info
    says: [No serum calcium in 42 days, tests at other hospitals]
  - name: measured on the last day that counts
    with:
      - {lab: serum-calcium, value: 2.20 mmol/L, date: 2026-10-11}
    expect: silent
  - name: measured one day too early
    with:
      - {lab: serum-calcium, value: 2.20 mmol/L, date: 2026-10-10}
    expect: fires
  - name: ordered on the first day of the window
    with:
      - {request: serum-calcium, date: 2026-11-08}
    expect: silent
  - name: ordered one day before the window
    with:
      - {request: serum-calcium, date: 2026-11-07}
    expect: fires
  - name: nobody knows whether she is pregnant
    with:
      - {gestation: pregnant, unknown: true}
    expect: silent
  - name: the laboratory history was not supplied
    with:
      - {lab: serum-calcium, unknown: true}
    expect: silent
"""

LOW_RULE = """\
id: low-calcium
title: Read a low serum calcium
version: 1.0.0
status: active
date: 2026-11-22
catalogue: XX-02
hooks: [patient-view]
evidence:
  - {source: local-policy}
strength: policy
caution: Total calcium falls with albumin.
when:
  - {gestation: pregnant}
  - {lab: serum-calcium, below: calcium-low, as: result}
suppresses: [calcium-test-missing]
then:
  indicator: warning
  summary: Serum calcium {result} is below {calcium-low}
  detail: Consider albumin or ionised calcium. A low total may only show dilution.
  variants:
    - name: old
      when:
        - {lab: serum-calcium, not_measured_within: calcium-recency}
      indicator: info
  override_reasons: [checked-elsewhere]
"""

LOW_CASES = """\
today: 2026-11-22
base:
  - {gestation: pregnant}
cases:
  - name: just below the limit
    with:
      - {lab: serum-calcium, value: 2.09 mmol/L, date: 2026-10-11}
    expect: fires
    indicator: warning
    says: [Serum calcium 2.09 mmol/L is below 2.10 mmol/L]
  - name: just below the limit but long ago
    with:
      - {lab: serum-calcium, value: 2.09 mmol/L, date: 2026-10-10}
    expect: fires
    indicator: info
  - name: at the limit
    with:
      - {lab: serum-calcium, value: 2.10 mmol/L, date: 2026-11-20}
    expect: silent
  - name: calcium unknown
    expect: silent
  - name: pregnancy unknown
    with:
      - {gestation: pregnant, unknown: true}
      - {lab: serum-calcium, value: 2.00 mmol/L, date: 2026-11-20}
    expect: silent
"""

FILES = {
    "topics.yaml": "basics: {title: Basics, level: 5}\nadvice: {title: Advice, level: 3}\n",
    "sources.yaml": (
        "local-policy: {title: Own choice, organisation: The test, read: local}\n"
        "molar-mass: {title: Own arithmetic, organisation: The test, read: local}\n"
        "calcium-product-monograph: {title: A leaflet, organisation: A maker, read: primary}\n"
    ),
    "seed.yaml": (
        "S1: {says: Calcium may be low., message: Measure it first., agreement: agree}\n"
        "S2: {says: Nobody can know., message: Somebody may., agreement: disagree, but: Not in tests.}\n"
    ),
    "override-reasons.yaml": "checked-elsewhere: Checked elsewhere\n",
    "activities.yaml": """\
serum-calcium-test:
  title: Serum calcium
  code: {system: loinc, code: "2000-8", display: "Calcium [Moles/volume] in Serum or Plasma"}
  redundant:
    - {request: serum-calcium, open_within: order-window}
""",
    "profiles/seed.yaml": "title: The test's own\n",
    "profiles/strict.yaml": """\
title: A higher limit
thresholds:
  calcium-low: {value: 2.20, unit: mmol/L}
""",
    "sites/example.yaml": "title: Test site\n",
    "basics/thresholds.yaml": "".join(threshold(name, text) for name, text in FACT_LIMITS.items()),
    "advice/thresholds.yaml": (
        threshold("calcium-recency", "42 d", "DESIGN")
        + threshold("order-window", "14 d")
        + threshold("calcium-low", "2.10 mmol/L")
    ),
    "advice/calcium-test-missing.yaml": MISSING_RULE,
    "advice/calcium-test-missing.cases.yaml": MISSING_CASES,
    "advice/low-calcium.yaml": LOW_RULE,
    "advice/low-calcium.cases.yaml": LOW_CASES,
}


@dataclass(frozen=True)
class Rules:
    """A rules folder on disk that a test edits like its author would."""

    root: Path

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that stands in the file exactly once."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"'{old}' stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def line_of(self, name: str, text: str) -> int:
        """The number of the first line that holds ``text``."""
        lines = (self.root / name).read_text(encoding="utf-8").splitlines()
        return 1 + next(number for number, line in enumerate(lines) if text in line)

    def load(self, site: Path | None = None, profile: str = "seed") -> KnowledgeBase:
        return load_knowledge(self.root, site, profile)

    def problems(self) -> list[str]:
        """Every problem of the knowledge, as printed; empty when it loads."""
        try:
            self.load()
        except KnowledgeError as error:
            return [str(problem) for problem in error.problems]
        return []

    def case_problems(self) -> list[str]:
        return [str(problem) for problem in load_cases(self.load(), self.root)[1]]


def small_rules(root: Path) -> Rules:
    """Write the folder below ``root``."""
    rules = Rules(root / "rules")
    shutil.copytree(REAL_RULES / "valuesets", rules.root / "valuesets")
    for name, text in FILES.items():
        rules.write(name, text)
    return rules
