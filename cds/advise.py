"""The one door: a hook request in, cards with their proof out. Same request, knowledge, now and language: same cards.

AdviceError
  ├─ DataUnavailable   what every rule needs was not given: HTTP 412, never "no cards"
  └─ PatientMismatch   the patient in the data is not the patient of the context: HTTP 400
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cds.cards import PROOF, Foreign, Recommendation, Untranslated, recommend, render, standing
from cds.cards.text import plain
from cds.engine import Engine, Expression, Outcome, Reference, Truth, Value, compile_program
from cds.engine.lower import clause_expression, lower
from cds.facts import Census, Fact, Record, prefetch_templates, take_census
from cds.facts.record import PART_TITLES, OtherPatient
from cds.hooks import HOOK_VERSIONS, SPECIFICATION, Card, CdsResponse, HookRequest, ServiceEntry
from cds.knowledge import KnowledgeBase, Rule
from cds.knowledge.languages import ENGLISH, translate
from cds.knowledge.lint import clause_text
from cds.knowledge.model import AnyOf, Clause, conditions_of
from cds.knowledge.vocabulary import HOOKS

RESPONSE = "org.prenatal-cds.response"
_MOST_REMARKS = 200
"""Nobody reads more of them, and a broken export of thousands of resources would make an answer of megabytes."""
_Judge = Callable[[Expression], Truth]

_SERVICES = {
    "patient-view": (
        "Antenatal check: leg cramps, calcium, vitamin D",
        "Assessment, laboratory interpretation, nutrition and self-care cards about leg cramps, calcium and"
        " vitamin D in pregnancy, and urgent assessment where a cramp may be a clot.",
    ),
    "order-select": (
        "Antenatal check while choosing calcium, vitamin D and related orders",
        "Checks to consider before a calcium or vitamin D supplement in pregnancy, for selected drafts.",
    ),
    "order-sign": (
        "Antenatal check before signing calcium, vitamin D and related orders",
        "Checks to consider before a calcium or vitamin D supplement in pregnancy, for all drafts.",
    ),
}
_USAGE = "For clinicians. Not a medical device; not reviewed by a clinician yet."


class AdviceError(Exception):
    """No advice can be given; the text holds no patient data."""


class DataUnavailable(AdviceError):
    """Data that every rule needs could not be had; ``keys`` are the prefetch keys to send."""

    def __init__(self, withheld: Mapping[str, str]) -> None:
        self.keys = tuple(withheld)
        names = ", ".join(f"'{key}' ({PART_TITLES[key]} {reason})" for key, reason in withheld.items())
        super().__init__(
            f"The data needed for any advice could not be had: {names}. Send it as prefetch, see discovery."
        )


class PatientMismatch(AdviceError):
    """The Patient supplied is another than context.patientId."""

    def __init__(self) -> None:
        super().__init__("prefetch 'patient' is another patient than context.patientId; send the data of one patient")


@dataclass(frozen=True)
class Advice:
    """Cards in order, and what is needed to explain them. ``remarks`` name what could not be used."""

    cards: tuple[Card, ...]
    recommendations: tuple[Recommendation, ...]
    census: Census
    outcome: Outcome
    remarks: tuple[str, ...]
    knowledge_hash: str

    @property
    def languages(self) -> list[str]:
        """The languages of the cards, each once."""
        return list(dict.fromkeys(card.extension[PROOF]["language"] for card in self.cards if card.extension))

    def response(self) -> CdsResponse:
        """The body of the answer. What could not be used is named even where there is no card to say it."""
        about: dict[str, Any] = {"knowledge": self.knowledge_hash}
        if self.remarks:
            about["remarks"] = [plain(remark) for remark in self.remarks[:_MOST_REMARKS]]
            if len(self.remarks) > _MOST_REMARKS:
                about["remarks"].append(f"{len(self.remarks) - _MOST_REMARKS} more such remarks were left out")
        return CdsResponse(cards=self.cards, extension={RESPONSE: about})


@dataclass(frozen=True)
class ClauseTrace:
    """One line of a rule as evaluated: its text, its truth, and the facts it asked about.

    ``parts`` are the alternatives of an `any`, and the conditions of an alternative that has several.
    """

    clause: Clause
    text: str
    truth: Truth
    facts: tuple[Fact, ...]
    parts: tuple[ClauseTrace, ...] = ()


@dataclass(frozen=True)
class RuleTrace:
    """One rule as considered: what became of it and why."""

    rule: Rule
    result: str  # fired | suppressed | silent
    by: str | None
    conditions: tuple[ClauseTrace, ...]
    exclusions: tuple[ClauseTrace, ...]


class Adviser:
    """Holds one compiled engine per hook. Thread-safe; nothing of a patient stays after a call."""

    def __init__(self, knowledge: KnowledgeBase, *, cross_check: bool = True) -> None:
        self.knowledge = knowledge
        self._programs = {hook: lower(knowledge, hook) for hook in HOOKS}
        self._references = {hook: Reference(program) for hook, program in self._programs.items()}
        self._engines = {
            hook: Engine(compile_program(program), cross_check=cross_check) for hook, program in self._programs.items()
        }
        languages = knowledge.languages.items()
        self._foreign = {tag: Foreign(knowledge, translate(knowledge, language)) for tag, language in languages}

    @property
    def languages(self) -> tuple[str, ...]:
        """The tags (BCP 47) of the languages that cards can be asked for; English first."""
        return (ENGLISH, *self._foreign)

    def __enter__(self) -> Adviser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the engines; later calls fail."""
        for engine in self._engines.values():
            engine.close()

    def services(self, language: str = ENGLISH) -> list[ServiceEntry]:
        """Discovery: one service per hook, with prefetch templates generated from the facts its rules ask about."""
        said = self.knowledge.languages.get(language)
        texts = said.services if said and set(said.services) == set(HOOKS) and said.usage else _SERVICES
        return [
            ServiceEntry(
                hook=hook,
                id=service_id(hook),
                title=texts[hook][0],
                description=texts[hook][1],
                prefetch=prefetch_templates(self.knowledge, hook),
                usage_requirements=said.usage if said and texts is said.services else _USAGE,
                version=SPECIFICATION,
                hook_version=HOOK_VERSIONS[hook],
            )
            for hook in HOOKS
        ]

    def advise(
        self,
        request: HookRequest,
        now: datetime,
        language: str = ENGLISH,
        *,
        public_url: str | None = None,
        gaps: Mapping[str, str] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> Advice:
        """Cards for one request at ``now`` (time zone aware; its zone decides what day it is).

        ``language`` is one of ``languages``; a card that it cannot say in full is English. ``public_url`` is where
        clients reach this service; links to its questionnaires begin with it. ``gaps`` maps each prefetch key that
        the caller tried to fetch in vain to a key of `cds.facts.record.NOT_FETCHED`. ``tick`` is called often while
        the record is read, and may raise to stop a request that takes too long.
        Raises DataUnavailable, PatientMismatch, and EngineError when the engine or its cross-check fails.
        """
        census, record = self._census(request, now, gaps, tick)
        _require(census, record)
        outcome = self.evaluate(census)
        recommendations = recommend(self.knowledge, census, outcome)
        encounter = request.context.encounter_id
        foreign = self._foreign.get(language)
        # The same rules in another language: what stands, and in which order, no text decides.
        spoken = recommend(foreign.base, census, outcome) if foreign else recommendations
        cards: list[Card] = []
        for english, other in zip(recommendations, spoken, strict=True):
            if foreign is not None and all(part.rule.id in foreign.rules for part in other.parts):
                try:
                    cards.append(
                        render(foreign.base, census, other, encounter, now, record, foreign, public_url=public_url)
                    )
                    continue
                except Untranslated:
                    pass  # never half a card
            cards.append(render(self.knowledge, census, english, encounter, now, record, public_url=public_url))
        return Advice(tuple(cards), recommendations, census, outcome, census.notes(), self.knowledge.hash)

    def _census(
        self,
        request: HookRequest,
        now: datetime,
        gaps: Mapping[str, str] | None,
        tick: Callable[[], None] | None,
    ) -> tuple[Census, Record]:
        context = request.context
        drafts: dict[str, Any] | None = getattr(context, "draft_orders", None)
        selections: tuple[str, ...] | None = getattr(context, "selections", None)
        try:
            return take_census(
                self.knowledge,
                request.hook,
                context.patient_id,
                request.prefetch,
                drafts,
                selections,
                now,
                gaps=gaps,
                tick=tick,
                server=request.fhir_server,
            )
        except OtherPatient:
            raise PatientMismatch from None

    def evaluate(self, census: Census) -> Outcome:
        """Truth of every statement of the census' hook."""
        return self._engines[census.hook].evaluate(self._values(census))

    def explain(self, advice: Advice) -> tuple[RuleTrace, ...]:
        """Every rule of the hook: fired, suppressed, or silent with the condition that failed or was unknown."""
        verdict = standing(self.knowledge, advice.outcome, advice.census.hook)
        fired = {rule.id for rule in verdict.held}
        traces = []
        judge = self._judge(advice.census)
        for rule in self.knowledge.rules_for(advice.census.hook):
            trace_of = self._considered(advice.census, advice.outcome, rule, judge)
            if rule.concludes is None and trace_of.result == "fired" and rule.id not in fired:
                trace_of = replace(trace_of, result="suppressed", by=verdict.removed.get(rule.id))
            traces.append(trace_of)
        return tuple(traces)

    def consider(self, census: Census, outcome: Outcome, rule: Rule) -> RuleTrace:
        """One rule on its own, before suppression: fired or silent, with its conditions and exclusions."""
        return self._considered(census, outcome, rule, self._judge(census))

    def _considered(self, census: Census, outcome: Outcome, rule: Rule, judge: _Judge) -> RuleTrace:
        conditions = tuple(self._clause(census, clause, judge) for clause in rule.when)
        exclusions = tuple(self._clause(census, clause, judge) for clause in rule.unless)
        result = "fired" if self._holds(outcome, rule, judge) else "silent"
        return RuleTrace(rule, result, None, conditions, exclusions)

    def holds(self, census: Census, outcome: Outcome, rule: Rule) -> bool:
        """Whether one rule holds, before suppression.

        A finding that several rules conclude may be true without this one: such a rule is judged by its own lines.
        """
        return self._holds(outcome, rule, self._judge(census))

    def _holds(self, outcome: Outcome, rule: Rule, judge: _Judge) -> bool:
        if rule.concludes is None:
            return outcome.is_true(f"rule:{rule.id}")
        makers = [other for other in self.knowledge.rules if other.concludes == rule.concludes]
        if not outcome.is_true(f"finding:{rule.concludes}") or len(makers) == 1:
            return outcome.is_true(f"finding:{rule.concludes}")
        excluded = any(judge(clause_expression(self.knowledge, row)) is Truth.TRUE for row in rule.unless)
        return not excluded and all(judge(clause_expression(self.knowledge, row)) is Truth.TRUE for row in rule.when)

    def _judge(self, census: Census) -> _Judge:
        """The truth of any expression for this patient, by the reference evaluator."""
        return self._references[census.hook].judge(self._values(census))

    def _values(self, census: Census) -> dict[str, Value]:
        declared = self._programs[census.hook].variables
        return {name: value for name, value in census.values().items() if name in declared}

    def _clause(self, census: Census, clause: Clause, judge: _Judge) -> ClauseTrace:
        """The clause and, for an `any`, its alternatives with their conditions."""
        truth = judge(clause_expression(self.knowledge, clause))
        keys = dict.fromkeys(c.key for c in conditions_of(iter((clause,))) if c.is_fact)
        facts = tuple(census.facts[key] for key in keys if key in census.facts)
        inner: tuple[Clause, ...] = ()
        if isinstance(clause, AnyOf):
            rows = clause.alternatives
            inner = tuple(AnyOf((row,), clause.place) if len(row) > 1 else row[0] for row in rows)
            inner = rows[0] if len(rows) == 1 else inner
        parts = tuple(self._clause(census, part, judge) for part in inner)
        return ClauseTrace(clause, clause_text(clause), truth, facts, parts)


def service_id(hook: str) -> str:
    """Our service for a hook: one id per hook, because clients key services by URL."""
    return f"prenatal-{hook}"


def _require(census: Census, record: Record) -> None:
    """Refuse when even the question "is she pregnant?" could not be asked: silence would look like an all-clear."""
    missing = {part: record.withheld[part] for part in ("pregnancy", "conditions") if part in record.withheld}
    patient = next(record.of("Patient"), None)
    if patient is None or patient.read.model is None:
        raise DataUnavailable({"patient": record.withheld.get("patient", "could not be read"), **missing})
    if census.facts[("gestation", "pregnant")].state == "unknown" and len(missing) == 2:
        raise DataUnavailable(missing)
