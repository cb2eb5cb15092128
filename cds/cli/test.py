"""`prenatal-cds test`: run the cases that stand beside the rules, without pytest."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.advise import Adviser
from cds.assurance import CaseResult, run_cases
from cds.cli.check import counted, located
from cds.cli.options import RulesDir, settings_from
from cds.cli.stop import ISSUES, WRONG_USE, Stop
from cds.cli.terminal import print_lines
from cds.knowledge import KnowledgeBase, Problem, bundled_rules, load_cases, load_knowledge
from cds.knowledge.errors import did_you_mean

RuleNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RULE]...", show_default=False, help="Rule ids; default: all rules."),
]


def run_rule_cases(names: RuleNames = None, rules: RulesDir = None) -> None:
    """Run the cases of the rules, on the default profile and site. Exit code 1 if one fails or is missing."""
    settings = settings_from(rules_dir=rules)
    root = settings.rules_dir or bundled_rules()
    base = load_knowledge(root)
    wanted = _wanted(base, names or [])
    cases, unsound = load_cases(base, root)
    files = {f"{base.rule(name).topic}/{name}.cases.yaml" for name in wanted}
    untold = [p for p in unsound if p.file in files or p.file in {base.rule(name).place.file for name in wanted}]
    with Adviser(base) as adviser:
        results = run_cases(adviser, tuple(case for case in cases if case.rule in wanted))
    failed = [result for result in results if not result.passed]
    problems = [p for result in failed for p in _problems(result)]
    print_lines(located(problems, root))
    ran = f"{counted(len(results), 'case')} of {counted(len(wanted), 'rule')}"
    verdict = f"{counted(len(failed), 'failure')} in {ran}"
    hint = f"; {counted(len(untold), 'problem')} in the case files, see prenatal-cds check" if untold else ""
    print_lines([verdict + hint])
    if failed or untold or not results:
        raise typer.Exit(ISSUES)


def _wanted(base: KnowledgeBase, names: list[str]) -> dict[str, None]:
    known = [rule.id for rule in base.rules]
    for name in names:
        if name not in known:
            raise Stop(f"no rule '{name}'{did_you_mean(name, known)}", WRONG_USE)
    return dict.fromkeys(names or known)


def _problems(result: CaseResult) -> list[Problem]:
    place, case = result.case.place, result.case
    return [Problem(place.file, place.line, f"{case.id}: {problem}") for problem in result.problems]
