"""The founding text against the rules: which rule carries a statement, and which of its cases shows that it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cds.assurance.document import Cell, Document, Item, Link, Paragraph, Table
from cds.knowledge.cases import Case
from cds.knowledge.model import KnowledgeBase, Rule, Statement


@dataclass(frozen=True)
class Row:
    """A statement with the rules that list it and the cases that are tagged with it."""

    statement: Statement
    rules: tuple[Rule, ...]
    cases: tuple[Case, ...]


def matrix(base: KnowledgeBase, cases: Iterable[Case]) -> tuple[Row, ...]:
    """One row per statement, in the order of the founding text."""
    tagged = [case for case in cases if case.seed]
    return tuple(
        Row(
            statement,
            tuple(rule for rule in base.rules if statement.id in rule.seed),
            tuple(case for case in tagged if statement.id in case.seed),
        )
        for statement in base.statements.values()
    )


def gaps(rows: Iterable[Row]) -> Iterator[str]:
    """What no rule carries or no case shows."""
    for row in rows:
        if not row.rules:
            yield f"{row.statement.id}: no rule lists it under seed"
        if not row.cases:
            yield f"{row.statement.id}: no case is tagged with it (seed: [{row.statement.id}])"


def as_document(base: KnowledgeBase, rows: Iterable[Row]) -> Document:
    """The matrix for a reader of rules/: links lead to the files beside it."""
    head = ("Statement", "The founding text says", "A card may say", "Guidance", "Rules", "Cases that show it")
    return Document(
        title="The founding text, its rules and their cases",
        running="Written by: prenatal-cds matrix --output rules/MATRIX.md. From seed.yaml, the rules and their cases.",
        blocks=(
            Paragraph("A rule carries a statement that it lists under seed; a tagged case shows that it is kept."),
            Table("Statements", head, tuple(_row(base, row) for row in rows), "numbers"),
        ),
        sections=(),
    )


def _row(base: KnowledgeBase, row: Row) -> tuple[Cell, ...]:
    agreement = row.statement.agreement.replace("-", " ")
    guidance: Cell = (agreement, row.statement.but) if row.statement.but else (agreement,)
    cases: tuple[Item, ...] = tuple(
        Link(f"{case.rule}: {case.name}", f"{base.rule(case.rule).topic}/{case.rule}.cases.yaml") for case in row.cases
    )
    return (
        (row.statement.id,),
        (row.statement.says,),
        (row.statement.message,),
        guidance,
        tuple(Link(f"{rule.catalogue} {rule.id}", rule.place.file) for rule in row.rules),
        cases,
    )


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The matrix for a program."""
    return [
        {
            "statement": row.statement.id,
            "says": row.statement.says,
            "message": row.statement.message,
            "agreement": row.statement.agreement,
            **({"but": row.statement.but} if row.statement.but else {}),
            "rules": [{"id": rule.id, "catalogue": rule.catalogue} for rule in row.rules],
            "cases": [{"rule": case.rule, "name": case.name, "fires": case.fires} for case in row.cases],
        }
        for row in rows
    ]
