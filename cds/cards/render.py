"""Recommendations -> CDS Hooks cards that carry their own proof.

A card says: the advice in two to four sentences; what it rests on (value, unit, day, resource); what was missing or
could not be read; the rule with its version, the evidence with its strength, and the profile that spoke. The same
proof rides machine-readable in `extension`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from cds.cards.recommend import Part, Recommendation
from cds.cards.speech import Speech
from cds.cards.text import escape, fill, plain, said, summary
from cds.facts.coding import texts
from cds.facts.model import Census, Fact
from cds.facts.record import Record
from cds.hooks import Action, Card, Coding, Link, Source, Suggestion
from cds.knowledge.lint import clause_text
from cds.knowledge.model import ALWAYS, Activity, Clause, Code, Condition, Evidence, KnowledgeBase, conditions_of
from cds.knowledge.wording import placeholders

# No domain of ours is published yet; .example never resolves to a stranger (RFC 2606).
RULE_SYSTEM = "https://prenatal-cds.example/CodeSystem/rule"
OVERRIDE_SYSTEM = "https://prenatal-cds.example/CodeSystem/override-reason"
PROOF = "org.prenatal-cds.proof"
OVERRIDES = "org.prenatal-cds.override-reasons"
MOST_REMARKS = 6
MOST_LINKS = 4
_ENGLISH = Speech()


def render(
    base: KnowledgeBase,
    census: Census,
    recommendation: Recommendation,
    encounter_id: str | None,
    now: datetime,
    record: Record | None = None,
    speech: Speech = _ENGLISH,
    *,
    public_url: str | None = None,
) -> Card:
    """The card of one recommendation. Uuids are fresh; everything else is decided by the arguments.

    ``record`` holds the originals that a proposal to pause a medicine repeats; without it there is no such proposal.
    ``base`` and ``recommendation`` are in the language of ``speech``. Raises Untranslated when it lacks a text.
    ``public_url`` is where this service is reached, for links to its questionnaires; without it they carry the
    questionnaire's canonical URL.
    """
    rule = recommendation.rule
    words = {name: speech.quoted(base.thresholds[name]) for name in _quoted(base, recommendation)}
    spoken = {name: said(_joined(map(speech.brief, facts), speech), 80) for name, facts in recommendation.bound.items()}
    suggestions = tuple(_suggestions(base, census, recommendation, encounter_id, record, speech))
    reasons = _reasons(base, recommendation)
    first = rule.evidence[0]
    origin = base.sources[first.source]
    return Card(
        uuid=str(uuid.uuid4()),
        summary=summary(fill(recommendation.summary, {**words, **spoken})),
        detail=_detail(base, census, recommendation, words, speech),
        indicator=recommendation.indicator,  # type: ignore[arg-type]
        source=Source(
            label=_label(base, first, speech),
            url=origin.url,
            topic=Coding(system=RULE_SYSTEM, code=rule.id, display=rule.title),
        ),
        suggestions=suggestions,
        selection_behavior=None if not suggestions else "at-most-one" if len(suggestions) == 1 else "any",
        override_reasons=reasons,
        links=(*_forms(base, recommendation, public_url, speech), *_links(base, recommendation)),
        extension={
            PROOF: {"language": speech.tag, **_proof(base, census, recommendation, now)},
            OVERRIDES: _standard(base, reasons),
        },
    )


# -- text -------------------------------------------------------------------------------------------------------------


def _quoted(base: KnowledgeBase, recommendation: Recommendation) -> set[str]:
    """The thresholds that the texts of the card quote."""
    texts = (recommendation.summary, *(part.text for part in recommendation.detail))
    return {name for text in texts for name in placeholders(text) if name in base.thresholds}


def _detail(
    base: KnowledgeBase, census: Census, recommendation: Recommendation, words: dict[str, str], speech: Speech
) -> str:
    escaped = {
        name: escape(_joined(map(speech.shown, facts), speech), 160) for name, facts in recommendation.bound.items()
    }
    advice = speech.space.join(fill(part.text, {**words, **escaped}) for part in recommendation.detail)
    blocks = [advice, *_redundant_lines(recommendation, speech)]
    blocks.append(_list(speech.word("based-on"), map(speech.line, _based_on(census, recommendation))))
    missing = map(speech.line, _missing(census, recommendation))
    blocks.append(_list(speech.word("not-available"), (*missing, *map(speech.phrase, census.gaps))))
    blocks.append(_list(speech.word("not-checked"), _unchecked(base, recommendation, speech)))
    blocks.append(_list(speech.word("please-note"), _remarks(census, recommendation, speech)))
    blocks.append(speech.word("may-be-wrong", caution=recommendation.rule.caution))
    blocks.append(_signature(base, recommendation, speech))
    return "\n\n".join(block for block in blocks if block)


def _joined(words: Iterable[str], speech: Speech) -> str:
    return speech.semicolon.join(dict.fromkeys(words))


def _list(title: str, lines: Iterable[str]) -> str:
    rows = list(dict.fromkeys(lines))
    if not rows:
        return ""
    return "\n".join([f"**{title}**", "", *(f"- {escape(row)}" for row in rows)])


def _redundant_lines(recommendation: Recommendation, speech: Speech) -> Iterator[str]:
    """What is already ordered or done is said, not proposed again."""
    for activity, facts in recommendation.redundant:
        sources = speech.semicolon.join(escape(speech.line(fact), 160) for fact in facts)
        yield speech.word("redundant", title=activity.title, sources=sources)


def _based_on(census: Census, recommendation: Recommendation) -> list[Fact]:
    facts = {key: census.facts[key] for key in ALWAYS if key in census.facts and census.facts[key].state == "known"}
    for part in recommendation.parts:
        facts.update({fact.key: fact for fact in part.facts})
    return list(facts.values())


def _missing(census: Census, recommendation: Recommendation) -> list[Fact]:
    facts = {key: census.facts[key] for key in ALWAYS if key in census.facts and census.facts[key].state == "unknown"}
    for part in recommendation.parts:
        facts.update({fact.key: fact for fact in part.missing})
    shown = {fact.key for fact in _based_on(census, recommendation)}
    return [fact for key, fact in facts.items() if key not in shown]


def _unchecked(base: KnowledgeBase, recommendation: Recommendation, speech: Speech) -> Iterator[str]:
    for part in recommendation.parts:
        for clause in part.unchecked:
            titles = {speech.title(c.key, base.title_of(c.key)): None for c in _conditions(clause)}
            yield speech.word("already-applies", titles=speech.comma.join(titles))


def _conditions(clause: Clause) -> Iterator[Condition]:
    return (c for c in conditions_of(iter((clause,))) if c.is_fact)


def _remarks(census: Census, recommendation: Recommendation, speech: Speech) -> list[str]:
    """Remarks on the facts of this card first, then on the record; the rest is counted."""
    facts = [*_based_on(census, recommendation), *_missing(census, recommendation)]
    rows = [
        speech.word("pair", title=speech.title(fact.key, fact.title), value=speech.phrase(remark))
        for fact in facts
        for remark in fact.remarks
    ]
    rows = list(dict.fromkeys([*rows, *map(speech.phrase, census.remarks)]))
    if len(rows) > MOST_REMARKS:
        more = speech.word("more-remarks", number=str(len(rows) - MOST_REMARKS), extension=PROOF)
        rows = [*rows[:MOST_REMARKS], more]
    return rows


def _signature(base: KnowledgeBase, recommendation: Recommendation, speech: Speech) -> str:
    rule = recommendation.rule
    signature = speech.word(
        "signature",
        names=speech.comma.join(f"{p.rule.id} {p.rule.version} ({p.rule.catalogue})" for p in recommendation.parts),
        evidence=speech.semicolon.join(_label(base, row, speech) for row in rule.evidence),
        strength=speech.strength(rule.strength),
        profile=base.profile,
        hash=base.hash[:12],
    )
    return signature if rule.status == "active" else f"{signature}{speech.space}{speech.word('draft')}"


def _label(base: KnowledgeBase, row: Evidence, speech: Speech) -> str:
    source = base.sources[row.source]
    year = f" {source.year}" if source.year else ""
    # Our own texts have no organisation that a reader knows; others are named by organisation and year.
    name = speech.source(source) if source.read == "local" else f"{source.organisation}{year}"
    return f"{name}{speech.comma}{row.section}" if row.section else name


def _forms(
    base: KnowledgeBase, recommendation: Recommendation, public_url: str | None, speech: Speech
) -> Iterator[Link]:
    """Links to the questionnaires that the rules of the card name."""
    ids = [id for part in recommendation.parts if part.rule.then for id in part.rule.then.questionnaires]
    for form in (base.form(id) for id in dict.fromkeys(ids)):
        if form is not None:
            url = f"{public_url.rstrip('/')}/questionnaires/{form.id}" if public_url else form.url
            label = speech.word("questionnaire", title=form.titles.get(speech.tag, form.titles["en"]))
            yield Link(label=label, url=url, type="absolute")


def _links(base: KnowledgeBase, recommendation: Recommendation) -> Iterator[Link]:
    seen: set[str] = set()
    rows = [row for part in recommendation.parts for row in part.rule.evidence]
    for row in rows:
        source = base.sources[row.source]
        if source.url and source.url not in seen and len(seen) < MOST_LINKS:
            seen.add(source.url)
            yield Link(label=f"{source.organisation}: {source.title}"[:200], url=source.url, type="absolute")


# -- override reasons -------------------------------------------------------------------------------------------------


def _reasons(base: KnowledgeBase, recommendation: Recommendation) -> tuple[Coding, ...]:
    """Why a clinician may set the card aside: the rule's own reasons, then those that may be true of any advice.

    A critical card offers only what its author thought of: "no time" is no reason to leave a clot.
    """
    rule, standard = recommendation.rule, base.standard_reasons
    own = rule.then.override_reasons if rule.then else ()
    general = standard.offered if own and recommendation.indicator != "critical" else ()
    return tuple(
        Coding(
            system=standard.system if reason in standard.offered else OVERRIDE_SYSTEM,
            code=reason,
            display=base.override_reasons[reason],
        )
        for reason in dict.fromkeys((*own, *general))
    )


def _standard(base: KnowledgeBase, reasons: Iterable[Coding]) -> dict[str, Any]:
    """By the code of a reason of ours: the standard reason that means the same, or that ours is a kind of.

    Beside the reasons, not inside them: a Coding of CDS Hooks has code, system and display only.
    """
    standard = base.standard_reasons
    alike = {"same": standard.same, "narrower": standard.narrower}
    return {
        reason.code: {
            "meaning": meaning,
            "code": codes[reason.code],
            "system": standard.system,
            "display": standard.displays[codes[reason.code]],
        }
        for reason in reasons
        for meaning, codes in alike.items()
        if reason.system == OVERRIDE_SYSTEM and reason.code in codes
    }


# -- suggestions ------------------------------------------------------------------------------------------------------


def _suggestions(
    base: KnowledgeBase,
    census: Census,
    recommendation: Recommendation,
    encounter_id: str | None,
    record: Record | None,
    speech: Speech,
) -> Iterator[Suggestion]:
    """Proposals for the clinician to choose; what is already ordered or done is not among them."""
    needless = {activity.id for activity, _ in recommendation.redundant}
    for suggestion in recommendation.suggest:
        if suggestion.remove is not None:
            actions = tuple(_removals(recommendation.bound.get(suggestion.remove, ()), speech))
        elif suggestion.stop:
            taken = (census.facts.get(("medication", name)) for name in suggestion.stop)
            facts = tuple(fact for fact in taken if fact is not None and fact.state == "known")
            title = recommendation.rule.title
            actions = tuple(_pauses(record, facts, title, speech)) if record is not None else ()
        else:
            wanted = [base.activities[name] for name in suggestion.create if name not in needless]
            actions = tuple(_create(census, recommendation, activity, encounter_id, speech) for activity in wanted)
        if actions:
            yield Suggestion(label=suggestion.label, uuid=str(uuid.uuid4()), actions=actions)


def _removals(facts: tuple[Fact, ...], speech: Speech) -> Iterator[Action]:
    """Delete actions for the drafts behind order facts that have an id to name them by, each once."""
    for source in dict.fromkeys(source for fact in facts for source in fact.sources):
        if " " not in source:
            yield Action(type="delete", description=speech.word("remove-draft", resource=source), resource_id=source)


def _pauses(record: Record, facts: tuple[Fact, ...], reason: str, speech: Speech) -> Iterator[Action]:
    """Update actions that put the active requests behind medication facts on hold, each once.

    An update replaces the whole resource, so it repeats the original but for status and its reason. What cannot be
    repeated without loss (a statement, a resource that was mended or has no id) is only named in the text.
    """
    for source in dict.fromkeys(source for fact in facts for source in fact.sources):
        original = record.original("MedicationRequest", source)
        if original is not None and original.get("status") == "active":
            resource = {**original, "status": "on-hold", "statusReason": {"text": reason}}
            description = speech.word("put-on-hold", resource=_medicine(original, source))
            yield Action(type="update", description=description, resource=resource)


def _medicine(request: dict[str, Any], source: str) -> str:
    """What a medication request says it is about, with its reference."""
    reference = request.get("medicationReference")
    display = reference.get("display") if isinstance(reference, dict) else None
    name = next(iter(texts(request.get("medicationCodeableConcept"))), display)
    return f"{said(name, 80)} ({source})" if name else source


def _create(
    census: Census, recommendation: Recommendation, activity: Activity, encounter_id: str | None, speech: Speech
) -> Action:
    resource: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "priority": activity.priority,
        "code": {"coding": [_coding(activity.code)], "text": activity.title},
        "subject": {"reference": f"Patient/{census.patient_id}"},
        "reasonCode": [{"text": recommendation.rule.title}],
    }
    if activity.category is not None:
        resource["category"] = [{"coding": [_coding(activity.category)]}]
    if encounter_id is not None:
        resource["encounter"] = {"reference": f"Encounter/{encounter_id}"}
    return Action(type="create", description=speech.word("propose", title=activity.title), resource=resource)


def _coding(code: Code) -> dict[str, str]:
    return {"system": code.system, "code": code.code, "display": code.display}


# -- proof ------------------------------------------------------------------------------------------------------------


def _proof(base: KnowledgeBase, census: Census, recommendation: Recommendation, now: datetime) -> dict[str, Any]:
    return {
        "knowledge": {"hash": base.hash, "profile": base.profile, "site": base.site},
        "evaluatedAt": now.isoformat(),
        "rules": [_part_proof(base, part) for part in recommendation.parts],
        "facts": [fact_proof(fact) for fact in _based_on(census, recommendation)],
        "missing": [fact_proof(fact) for fact in _missing(census, recommendation)],
        "remarks": list(census.remarks),
    }


def _part_proof(base: KnowledgeBase, part: Part) -> dict[str, Any]:
    rule = part.rule
    proof: dict[str, Any] = {
        "id": rule.id,
        "version": rule.version,
        "status": rule.status,
        "catalogue": rule.catalogue,
        "strength": rule.strength,
        "branches": list(part.branches),
        "unchecked": [clause_text(clause) for clause in part.unchecked],
        "thresholds": [
            {"id": t.id, "value": t.value, "unit": t.unit, "catalogue": t.catalogue, "confidence": t.confidence}
            for t in part.thresholds
        ],
        "evidence": [
            {"source": base.sources[e.source].title, "section": e.section, "supports": e.supports}
            for e in rule.evidence
        ],
    }
    if rule.seed:
        proof["seed"] = list(rule.seed)
    if part.variant is not None:
        proof["variant"] = part.variant.name
    return proof


def fact_proof(fact: Fact) -> dict[str, Any]:
    """A fact as JSON; empty members are left out."""
    proof: dict[str, Any] = {"kind": fact.key[0], "concept": fact.key[1], "title": fact.title, "state": fact.state}
    values = {name: _json(value) for name, value in fact.attributes.items()}
    for name, value in (
        ("values", values),
        ("shown", plain(fact.shown)),
        ("date", fact.day.isoformat() if fact.day else ""),
        ("sources", list(fact.sources)),
        ("reason", plain(fact.reason)),
        ("remarks", [plain(r) for r in fact.remarks]),
    ):
        if value:
            proof[name] = value
    return proof


def _json(value: Any) -> Any:
    return value.normalize() + 0 if isinstance(value, Decimal) else value
