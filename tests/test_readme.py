"""What the README shows is what the program says: the transcripts are run again and compared."""

from __future__ import annotations

import re

import pytest

from tests.transcripts import ROOT, assert_printed, links, run, transcripts

README = (ROOT / "README.md").read_text(encoding="utf-8")
REAL = ROOT.parent / "shared" / "data" / "real"
SHOWN = [(command, text) for command, text in transcripts(README) if "prenatal-cds " in command]


@pytest.mark.parametrize(("command", "expected"), SHOWN, ids=[command.split()[-3] for command, _ in SHOWN])
def test_the_transcript_is_what_the_program_prints(command: str, expected: str) -> None:
    if "tests.real" in command and not REAL.is_dir():
        pytest.skip("the real records are not on this machine (folder shared/data/real beside the checkout)")
    assert_printed(expected, run(command), command)


def test_there_is_a_transcript_of_run_of_explain_and_of_a_real_record() -> None:
    shown = " ".join(command for command, _ in SHOWN)
    assert "prenatal-cds run fixtures" in shown
    assert "prenatal-cds explain" in shown
    assert "tests.real" in shown


def test_the_rule_shown_is_the_rule_shipped() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    rule_id = re.search(r"^id: (\S+)$", shown, flags=re.MULTILINE)
    assert rule_id is not None
    (path,) = (ROOT / "rules").glob(f"*/{rule_id[1]}.yaml")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("link", links(README))
def test_every_local_link_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()
