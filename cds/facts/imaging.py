"""Reports of leg vein imaging: negative, positive or unclear - of which leg, and since the newest one-leg sign or not.

A negative report lowers an alarm, so it is read strictly: only plain wordings ("no evidence of deep vein thrombosis")
without any word of doubt are negative, and a report of the other leg only is none for this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.calf import calf_difference
from cds.facts.coding import by_code, says, site_of, states, texts
from cds.facts.conditions import means, request_fact
from cds.facts.dates import Moment, age_in_days, moment, order_of
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.observations import standing
from cds.facts.record import Record, Resource
from cds.facts.symptoms import symptom_fact
from cds.knowledge.model import FactKey, KnowledgeBase

_LEG_SIGNS = ("leg-swelling", "leg-redness", "leg-warmth", "calf-tenderness", "leg-pain")
_BOTH = frozenset({"left", "right"})
_ULTRASOUND = "leg-vein-ultrasound"
_DVT = r"(?:dvt|deep (?:vein|venous) thromb(?:osis|oses|us))"
_NEGATIVE = re.compile(
    r"\b(?:no|without|negative for)\b(?: (?:(?:sonographic|ultrasound|duplex|doppler) )?(?:evidence|signs?) of)?"
    rf" (?:(?:any|acute|left|right|lower|leg|limb|extremity|bilateral) ){{0,4}}{_DVT}\b"
    r"(?: or (?:(?:superficial|venous|vein) ){0,2}(?:thrombophlebitis|thrombosis|svt)\b)?"
    # "No DVT prophylaxis" and "no DVT was excluded" are about something else.
    r"(?! (?:prophyla\w*|protocol|history|risk|score|pathway|scan|study|clinic|treatment|was|were|is|has|had)\b)"
)
_DOUBT = re.compile(
    r"\b(?:not (?:\w+ ){0,2}(?:done|performed|seen|visuali[sz]ed|assess\w*|examin\w*|compress\w*|imaged|excluded?"
    r"|diagnostic)"
    r"|non-?compress\w*|incompress\w*|limited|sub-?optimal|incomplete\w*|inadequate\w*|poor\w*|difficult"
    r"|cannot|can't|could not|unable|possib\w*|probabl\w*|likely|suspicious|indeterminate|inconclusive|equivocal"
    r"|non-?diagnostic|uncertain\w*|unclear|questionabl\w*|proximal|above[- ]knee|preliminary|pending)\b"
)
_ANY_CLOT = re.compile(rf"\b(?:{_DVT}|thromb\w*|clots?|occlu\w+|filling defects?|embol\w*)\b")
_OF_BOTH = re.compile(r"\b(?:both|either|bilateral(?:ly)?)\b")
_SENTENCE = re.compile(r"[.;\n]")


@dataclass(frozen=True)
class Report:
    """One usable report: its result, and the legs it is about (both where it names none, see ``names_side``)."""

    resource: Resource
    result: str
    legs: frozenset[str]
    names_side: bool
    when: Moment | None


def imaging_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """The newest report of each leg taken together: the worst result, and whether it answers the newest leg sign."""
    title = base.title_of(key)
    found = [r for r in record.of("DiagnosticReport") if means(base, r.raw.get("code"), base.concepts[key[1]])]
    doubts = tuple(_not_used(found, today, zone))
    rows = sorted(
        (report for r in found if (report := _report(base, r, key[1], zone)) is not None and _is_past(report, today)),
        key=lambda r: (order_of(r.when, zone), r.resource.name),
        reverse=True,
    )
    gap = record.gap("imaging")
    if not rows:
        reason = "; ".join([*([gap] if gap else []), *doubts])
        return unknown(key, title, reason) if reason else absent(key, title, "no final report in the data supplied")
    newest = _newest_of_each_leg(rows)
    first = newest[0]
    result = next(word for word in ("positive", "unclear", "negative") if any(r.result == word for r in newest))
    legs = frozenset(leg for r in newest for leg in r.legs)
    remarks = [*doubts]
    if result == "negative" and not all(r.names_side for r in newest):
        remarks.append(f"the report names no side: check that it is of the leg with the sign ({first.resource.name})")
    after, why_not = _answers_the_signs(base, record, newest, legs, today, zone)
    if why_not:
        remarks.append(f"{why_not} ({first.resource.name})")
    side = "both legs" if legs == _BOTH and all(r.names_side for r in newest) else f"{min(legs)} leg"
    named = side if any(r.names_side for r in newest) else "side not named"
    partial = f" ({first.when.text})" if first.when is not None and first.when.is_partial else ""
    return known(
        key,
        title,
        f"{result}, {named}{partial}",
        day=first.when.day if first.when else None,
        sources=tuple(dict.fromkeys(r.resource.name for r in newest)),
        remarks=tuple(remarks),
        age=age_in_days(first.when, today, base.day_limits),
        result=result,
        after_signs=after,
    )


def request_of_the_leg(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """An open order; one to image the other leg only is none for the leg with the sign."""
    if key[1] != _ULTRASOUND:
        return request_fact(base, record, key, today, zone)
    named = {str(fact.attributes.get("side")) for fact in _one_leg_signs(base, record, today, zone)} & _BOTH
    other = {r.name for r in record.resources.get("ServiceRequest", ()) if named and _other_leg(base, r, named)}
    rows = tuple(r for r in record.resources.get("ServiceRequest", ()) if r.name not in other)
    fact = request_fact(base, replace(record, resources={**record.resources, "ServiceRequest": rows}), key, today, zone)
    remarks = tuple(f"an order is not of the leg with the sign ({name})" for name in sorted(other))
    return replace(fact, remarks=(*fact.remarks, *remarks))


def _other_leg(base: KnowledgeBase, resource: Resource, named: set[str]) -> bool:
    """Whether an order to image leg veins names one leg, and not one with a sign."""
    code, body = resource.raw.get("code"), resource.raw.get("bodySite")
    if not means(base, code, base.concepts[_ULTRASOUND]):
        return False
    own = next((m.code for m in by_code(base, code) if m.concept == _ULTRASOUND), None)
    side = site_of(base, body if isinstance(body, list) else (), texts(code), own).side
    return side in _BOTH and side not in named


def _is_past(report: Report, today: date) -> bool:
    return report.when is None or report.when.first <= today


def _standing(resource: Resource) -> str:
    """The standing of a report; text added to a final one ("appended") is a form of amended, "partial" is pending."""
    status = resource.raw.get("status")
    return {"appended": "usable", "partial": "pending"}.get(str(status)) or standing(status)


def _not_used(found: Iterable[Resource], today: date, zone: tzinfo) -> Iterator[str]:
    for resource in found:
        state = _standing(resource)
        if state == "void":
            continue
        if state != "usable":
            yield f"a report is not final ({resource.name})"
        elif resource.read.model is None:
            yield f"a report could not be read ({resource.name})"
        else:
            when = _when(resource.read.model, zone)
            if when is not None and when.first > today:
                yield f"a report is dated in the future ({resource.name})"


def _when(model: Any, zone: tzinfo) -> Moment | None:
    """When the images were taken, else when the report was issued."""
    period = model.effectivePeriod
    days = (model.effectiveDateTime, getattr(period, "end", None) or getattr(period, "start", None), model.issued)
    return next((when for when in (moment(day, zone) for day in days if day is not None) if when is not None), None)


def _report(base: KnowledgeBase, resource: Resource, concept: str, zone: tzinfo) -> Report | None:
    if _standing(resource) != "usable" or resource.read.model is None:
        return None
    model = resource.read.model
    concluded = model.conclusionCode or ()
    spoken = [*([model.conclusion] if model.conclusion else []), *(t for row in concluded for t in texts(row))]
    coded = any(m.concept == "venous-thromboembolism" for row in concluded for m in by_code(base, row))
    result = "positive" if coded else _result(base, spoken)
    code = next((m.code for m in by_code(base, model.code) if m.concept == concept), None)
    by_name = site_of(base, (), texts(model.code), code).side
    by_text = _spoken_side(base, spoken)
    if by_name in _BOTH and by_text in _BOTH and by_name != by_text:
        return Report(resource, "unclear" if result == "negative" else result, _BOTH, True, _when(model, zone))
    # The conclusion says what was found where; the name of a study of both legs does not make it speak of both.
    side = by_text if by_text != "unknown" else by_name
    legs = frozenset({side}) if side in _BOTH else _BOTH
    return Report(resource, result, legs, side in (*_BOTH, "both"), _when(model, zone))


def _result(base: KnowledgeBase, spoken: list[str]) -> str:
    """negative only on a plain wording without doubt; positive where a thrombosis is stated; else unclear."""
    vte = base.concepts["venous-thromboembolism"]
    whole = "\n".join(spoken).lower()
    rest = _NEGATIVE.sub(" ", whole)
    if _DOUBT.search(whole):
        return "unclear"
    clot = says(rest, vte.text, vte.void)
    if rest != whole:
        return "unclear" if clot or states(rest, _ANY_CLOT) else "negative"
    return "positive" if clot else "unclear"


def _spoken_side(base: KnowledgeBase, spoken: list[str]) -> str:
    """The side of the sentences that say "no thrombosis", else of the whole text; unknown where it names both apart."""
    sentences = [part for text in spoken for part in _SENTENCE.split(text.lower())]
    telling = [part for part in sentences if _NEGATIVE.search(part)] or sentences
    sides = {site_of(base, (), [part]).side for part in telling} - {"unknown"}
    named = {word for part in telling for word in _BOTH if re.search(rf"\b{word}\b", part)}
    if sides == {"both"} or named == _BOTH or any(_OF_BOTH.search(part) for part in telling):
        return "both"
    return sides.pop() if len(sides) == 1 and sides <= _BOTH else "unknown"


def _newest_of_each_leg(rows: list[Report]) -> list[Report]:
    """Reports, newest first, until each leg has been spoken for; those of one day count together."""
    kept: list[Report] = []
    for row in rows:
        newer = frozenset(leg for r in kept if _day(r) != _day(row) for leg in r.legs)
        if not row.legs <= newer:
            kept.append(row)
    return kept


def _day(row: Report) -> date | None:
    return row.when.last if row.when else None


def _answers_the_signs(
    base: KnowledgeBase, record: Record, newest: list[Report], legs: frozenset[str], today: date, zone: tzinfo
) -> tuple[bool | None, str]:
    """Whether the reports are of the day of the newest one-leg sign or later, and of its leg; else why not.

    None where it cannot be told: a sign or a report without a day.
    """
    one_sided = list(_one_leg_signs(base, record, today, zone))
    named = frozenset(str(fact.attributes.get("side")) for fact in one_sided) & _BOTH
    needed = named or _BOTH  # a sign whose side nobody wrote down goes with the one that has a side
    if not needed <= legs:
        return False, "the report is not of the leg with the sign"
    # Only the reports of a leg in question must be new enough.
    asked = [row for row in newest if row.legs & needed] or newest
    if any(fact.day is None for fact in one_sided) or any(row.when is None for row in asked):
        return None, "whether the report or the leg sign came first is not known"
    last = max((fact.day for fact in one_sided if fact.day is not None), default=date.min)
    if any(row.when is not None and row.when.first < last for row in asked):
        return False, "the report is older than the newest leg sign"
    return True, ""


def _one_leg_signs(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Iterator[Fact]:
    """Reported signs that are not of both legs, a measured difference and one-sided groin pain among them."""
    for name in _LEG_SIGNS:
        fact = symptom_fact(base, record, ("symptom", name), today, zone)
        if fact.attributes.get("present") is True and fact.attributes.get("one_sided") is not False:
            yield fact
    groin = symptom_fact(base, record, ("symptom", "back-or-groin-pain"), today, zone)
    if groin.attributes.get("one_sided") is True:
        yield groin
    calf = calf_difference(base, record, today, zone)
    difference = calf.attributes.get("value")
    if isinstance(difference, Decimal) and difference >= base.number("calf-difference"):
        yield calf
