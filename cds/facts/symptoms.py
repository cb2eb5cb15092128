"""Symptoms and signs: reported, denied, or never asked - with a side.

Silence is not a "no": a symptom nobody recorded stays unknown, and a "no" for one leg says nothing about the other. On
the newest day with an answer, a report outweighs a denial. The side comes from bodySite, from the code, or from text;
text alone, without a known code, is marked (`coded` is false) so that a rule can say less. A note is read only beside
a coded finding: for side, timing, whether it persists and how severe it is, and as free text for another sign that it
states ("left calf swollen" beside coded cramps). Without a coded finding it makes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import (
    Match,
    Site,
    by_code,
    clauses,
    codings,
    judged,
    names,
    one_side,
    site_of,
    states,
    texts,
)
from cds.facts.conditions import clinical_state, exists, means, onset, procedure_fact
from cds.facts.dates import Moment, age_in_days, moment
from cds.facts.model import Fact, known, unknown
from cds.facts.observations import effective, glance, standing
from cds.facts.record import Record, Resource
from cds.knowledge.model import Code, Concept, FactKey, KnowledgeBase

_YES = frozenset({"yes", "y", "true", "present", "positive", "reported", "confirmed"})
_NO = frozenset(
    {"no", "n", "false", "absent", "none", "negative", "not present", "denied", "denies", "nil", "resolved", "gone",
     "none reported", "nil reported", "known absent", "not detected", "not found", "not seen"}
)  # fmt: skip
_NO_ANSWER = re.compile(
    r"unknown|unsure|not (?:sure|known|asked|assessed|recorded|answered|applicable|determined|documented|examined)"
    r"|not reported|unable to .*|n/?a|declined.*|refused.*|don't know|do not know|asked but unknown|pending"
    r"|\?+|-+|[\d./ ]+"
)
_NO_ANSWER_CODES = frozenset(
    {"unk", "asku", "nask", "ni", "nav", "na", "msk", "unknown", "asked-unknown", "not-asked", "asked-declined",
     "not-applicable", "temp-unknown", "masked"}
)  # fmt: skip
_NEGATED = re.compile(r"(?:no|not|never|none|without|denies|denied)\b\s*(.*)")
# It is there without a break: not the length of a history, which brief cramps may have too.
_PERSISTENT = re.compile(
    r"\b(?:persist(?:s|ed|ing|ent(?:ly)?)?|constant(?:ly)?|continuous(?:ly)?|ongoing|unremitting|unrelenting"
    r"|(?:does not|doesn't|did not|didn't|will not|won't|would not|never) (?:go(?:es)? away|stop|settle|ease)s?"
    r"|not going away|all (?:the time|day(?: long)?)|day and night|round the clock)\b"
)
# Severe in words: as such, or by the sleep that it costs. "On waking" is a time of day.
_SEVERE = re.compile(
    r"\b(?:severe(?:ly)?|unbearable|excruciating"
    r"|(?:disrupt|disturb|interrupt|prevent)\w*(?: [\w']+){0,2} sleep|interfer\w* with(?: [\w']+)? sleep"
    r"|sleep[- ](?:is |was |has been )?(?:disrupt|disturb|interrupt|prevent)\w*|(?:lack|loss) of sleep|loses sleep"
    r"|(?:cannot|can't|unable to|stops? (?:\w+ )?from) sleep\w*|keep(?:s|ing)? (?:her|me|the patient) (?:awake|up)"
    r"|(?<!on )(?<!upon )(?<!after )(?<!before )(?<!when )(?<!while )(?<!when she )"
    r"(?:wak(?:es?|ing|ens?|ened|ening)|awak(?:es|ens?|ened|ening)|awoken|a?woke|woken"
    r"|awake (?:at|all) night))\b(?! in the (?:early )?morning)"
)
# Night or day, and since when: shown on the card as it was said.
_COUNT = r"(?:\d+|an?|one|two|three|four|five|six|several|a few|some)"
_TIMING = re.compile(
    r"\b(?:at night(?: only)?|nocturnal|night[- ]?time|nightly|every night|sleep related|during sleep"
    r"|(?:during|in) the (?:day(?:time)?|evening|morning|night)|by day|day and night|daytime|at rest|on waking"
    r"|associated with rest"
    rf"|(?:for|since|over) (?:the (?:last|past) )?(?:about )?{_COUNT} (?:hours?|days?|weeks?|months?)"
    rf"|{_COUNT} (?:hours?|days?|weeks?|months?) ago|since (?:yesterday|last (?:night|week|month)))\b"
)
# Self-care counselling decides when such a symptom counts as lasting (catalogue T50).
_COUNSELLING = {"leg-cramps": "self-care-counselling"}
_QUESTION = re.compile(
    r"\b(?:any|do you|does|have you|has she|are you|is (?:a|the|one|there)|which|presence|score|scale)\b"
)
_SITE_QUESTION = re.compile(r"\b(?:laterality|side|body ?site|location|site)\b")
# Components that describe the finding, and so do not stand for its answer.
_DESCRIBING_QUESTION = re.compile(
    r"\b(?:timing|duration|severity|onset|course|pattern|frequency|character|quality|intensity|comments?)\b"
)
_FINDING_SYSTEMS = (
    "http://snomed.info/sct",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-10",
)
_HISTORY = re.compile(r"\bhistory\b|\bpast\b|\bprevious\b")
# A code such as "Cramp" names no place; these words put it somewhere else than the leg.
_ELSEWHERE = re.compile(
    r"\b(?:abdom\w*|stomach|belly|pelvi\w*|uter\w*|menstrua\w*|hands?|fingers?|arms?|neck|back|chest|jaw|writer's)\b"
)


@dataclass(frozen=True)
class Report:
    """One answer about a symptom: present, denied, or recorded without an answer (None)."""

    resource: Resource
    present: bool | None
    when: Moment | None
    side: str
    persistent: bool
    severe: bool
    coded: bool
    shown: str
    timing: tuple[str, ...] = ()


def symptom_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """The fact of one symptom concept."""
    title = base.title_of(key)
    target = base.concepts[key[1]]
    rows = [
        *_from_observations(base, record, target, zone),
        *_from_conditions(base, record, target, zone),
        *_from_notes(base, record, target, zone),
    ]
    remarks = tuple(dict.fromkeys([*_unanswered(rows, today), *_not_final(base, record, target)]))
    answers = [r for r in rows if r.present is not None and _is_past(r.when, today)]
    newest = max((r.when.last for r in answers if r.when is not None), default=None)
    of_the_day = [r for r in answers if r.when is not None and r.when.last == newest] or answers
    reports = [r for r in of_the_day if r.present]
    if reports:
        counselled = _days_after_counselling(base, record, key[1], newest, today, zone)
        return _reported(base, key, title, reports, today, remarks, counselled)
    if of_the_day:
        return _denied(base, key, title, of_the_day, today, remarks)
    return unknown(key, title, record.gap("symptom") or "not recorded", remarks)


def _days_after_counselling(
    base: KnowledgeBase, record: Record, symptom: str, reported: date | None, today: date, zone: tzinfo
) -> Decimal | None:
    """Whole days from the newest documented counselling to the newest report; None unless the report is the later."""
    about = _COUNSELLING.get(symptom)
    if about is None or about not in base.concepts or reported is None:
        return None
    day = procedure_fact(base, record, ("procedure", about), today, zone).day
    return Decimal((reported - day).days) if day is not None and day < reported else None


def _is_past(when: Moment | None, today: date) -> bool:
    return when is None or when.first <= today


def _unanswered(rows: Iterable[Report], today: date) -> Iterator[str]:
    for row in rows:
        if row.present is None:
            yield f"recorded without an answer ({row.resource.name})"
        elif not _is_past(row.when, today):
            yield f"dated in the future, not used ({row.resource.name})"


def _not_final(base: KnowledgeBase, record: Record, target: Concept) -> Iterator[str]:
    for resource in record.of("Observation"):
        state = standing(resource.raw.get("status"))
        if state == "void" or not _may_mean(base, resource, target):
            continue
        if state != "usable":
            yield f"a record is not final ({resource.name})"
        elif resource.read.model is None:
            yield f"a record could not be read ({resource.name})"


def _denied(
    base: KnowledgeBase, key: FactKey, title: str, rows: list[Report], today: date, remarks: tuple[str, ...]
) -> Fact:
    side = one_side(r.side for r in rows)
    if side in ("left", "right", "one") and all(r.side != "unknown" for r in rows):
        return unknown(key, title, f"denied for one side only ({', '.join(_names(rows))})", remarks)
    first = rows[0]
    age = age_in_days(first.when, today, base.day_limits)
    attributes = {"present": False} | ({"age": age} if age is not None else {})
    day = first.when.day if first.when else None
    return Fact(key, title, "known", attributes, _words("denied", first), day, _names(rows)[:1], "", remarks)


def _reported(
    base: KnowledgeBase,
    key: FactKey,
    title: str,
    reports: list[Report],
    today: date,
    remarks: tuple[str, ...],
    counselled: Decimal | None,
) -> Fact:
    side = one_side(r.side for r in reports)
    reports = sorted(reports, key=lambda r: (not r.coded, r.side == "unknown", r.resource.name))
    first = reports[0]
    coded = any(r.coded for r in reports)
    named = side in ("left", "right", "both")
    parts = [
        side if named else "one side" if side == "one" else "",
        first.shown if first.shown.lower() != title.lower() else "",
        *(t for t in dict.fromkeys(t for r in reports for t in r.timing) if t not in first.shown.lower()),
        "" if coded else "from free text",
    ]
    return known(
        key,
        title,
        _words(", ".join(p for p in parts if p) or "reported", first),
        day=first.when.day if first.when else None,
        sources=_names(reports),
        remarks=remarks,
        age=age_in_days(first.when, today, base.day_limits),
        side=side if named else "unknown",
        one_sided=None if side == "unknown" else side != "both",
        persistent=True if any(r.persistent for r in reports) else None,
        severe=True if any(r.severe for r in reports) else None,
        coded=coded,
        days_after_counselling=counselled,
    )


def _words(shown: str, report: Report) -> str:
    return f"{shown} ({report.when.text})" if report.when is not None and report.when.is_partial else shown


def _names(rows: list[Report]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.resource.name for r in rows))


# -- observations -----------------------------------------------------------------------------------------------------


def _from_observations(base: KnowledgeBase, record: Record, target: Concept, zone: tzinfo) -> Iterator[Report]:
    for resource in record.of("Observation"):
        if standing(resource.raw.get("status")) != "usable" or not _may_mean(base, resource, target):
            continue
        model = resource.read.model
        if model is None:
            continue
        when = effective(model, zone)
        for holder in (model, *(model.component or ())):
            for match, present in _meanings(base, target, holder, _sites(model)):
                report = _report(base, resource, match, present, when, model, holder)
                if report is not None:
                    yield report


def _may_mean(base: KnowledgeBase, resource: Resource, target: Concept) -> bool:
    """Cheap look before anything is validated."""
    seen = glance(base, resource)
    return target.id in seen.asked or target.id in seen.answered or any(_named(text, target) for text in seen.spoken)


def _named(text: str, target: Concept) -> bool:
    return names(text, target.text) or names(text, target.sign)


def _stated(target: Concept, spoken: Iterable[str], here: bool) -> Match | None:
    """The first text that states the target."""
    return next((Match(target.id, None, text) for text in spoken if judged(text, target, here=here)), None)


def _is_placed(base: KnowledgeBase, target: Concept, sites: Iterable[Any]) -> bool:
    """Whether a body site is the place of the target's signs."""
    leg = base.concepts["leg"]
    for site in sites:
        by_leg = target.site == leg.text and any(m.concept == "leg" for m in by_code(base, site))
        if by_leg or any(names(text, target.site) for text in texts(site)):
            return True
    return False


def _names_place(target: Concept, text: str) -> bool:
    """Whether a text names a place, of the target or another."""
    return names(text, target.site) or names(text, target.elsewhere)


def _examines(base: KnowledgeBase, target: Concept, question: tuple[str, ...]) -> bool:
    """Whether the question only names the place ("Left leg"), so that the answer says what is there."""
    symptoms = [c for c in base.concepts.values() if c.family == target.family]
    return any(names(text, target.site) for text in question) and not any(
        _named(text, symptom) for text in question for symptom in symptoms
    )


def _meanings(
    base: KnowledgeBase, target: Concept, holder: Any, sites: list[Any]
) -> Iterator[tuple[Match, bool | None]]:
    """(match, present) for the question or finding that this holder states about the target."""
    asked = by_code(base, holder.code)
    own = [m for m in asked if m.concept == target.id]
    if own:
        yield own[0], answer_to(base, target, holder, own[0].code)
        return
    question = texts(holder.code)
    if any(_HISTORY.search(text.lower()) for text in question):
        return
    value = holder.valueCodeableConcept
    named = [m for m in by_code(base, value) if m.concept == target.id]
    if named:
        yield named[0], True
    elif not asked:
        yield from _by_words(base, target, holder, question, _is_placed(base, target, sites))


def _by_words(
    base: KnowledgeBase, target: Concept, holder: Any, question: tuple[str, ...], here: bool
) -> Iterator[tuple[Match, bool | None]]:
    """The same from words, where no code is known. ``here``: the body site is the place of the target."""
    in_question = _stated(target, question, here)
    if in_question is not None:
        yield in_question, answer_to(base, target, holder, None)
        return
    free = (*texts(holder.valueCodeableConcept), *([holder.valueString] if holder.valueString else []))
    here = here or _examines(base, target, question)
    # "Edema: LLE 2+": the sign stands in the question, its place in the answer.
    asked = [text for text in question if names(text, target.sign) and not _names_place(target, text)]
    free = (*free, *(f"{text} {said}" for text in asked for said in free if names(said, target.site)))
    stated = _stated(target, free, here)
    if stated is not None:
        yield stated, True
    elif any(judged(text, target, here=here) is False for text in (*free, *question)):
        yield Match(target.id, None, next(iter((*free, *question)))), False


def answer_to(base: KnowledgeBase, target: Concept, holder: Any, code: Code | None) -> bool | None:
    """What the value says: true, false, or None when there is no answer that can be understood."""
    if holder.dataAbsentReason is not None:
        return None
    if holder.valueBoolean is not None:
        return bool(holder.valueBoolean)
    if holder.valueCodeableConcept is not None:
        return _coded_answer(base, target, holder.valueCodeableConcept)
    if holder.valueString is not None:
        return _spoken_answer(holder.valueString, target)
    finding = code is not None and code.system in _FINDING_SYSTEMS
    number = holder.valueInteger if holder.valueInteger is not None else getattr(holder.valueQuantity, "value", None)
    if finding and number is not None and number > 0:
        return True  # how much or how often; a nought may be a count or a "no"
    others = ("Quantity", "Integer", "Range", "Ratio", "DateTime", "Period", "Time", "SampledData")
    if any(getattr(holder, f"value{name}") is not None for name in others):
        return None
    if any(
        not _asks_site(part.code) and not _describes(part.code) for part in getattr(holder, "component", None) or ()
    ):
        return None
    # A finding code without a value states the finding; a question code without a value was not answered.
    return True if finding or _is_statement(base, target, holder, code) else None


def _is_statement(base: KnowledgeBase, target: Concept, holder: Any, code: Code | None) -> bool:
    """Whether words alone, without a value, state a finding: with its side ("Swelling of left leg"), not as a label."""
    if code is not None or {system for system, _, _ in codings(holder.code)} - {*_FINDING_SYSTEMS}:
        return False
    spoken = texts(holder.code)
    asked = any("?" in text or _QUESTION.search(text.lower()) for text in spoken)
    parts = getattr(holder, "component", None) or getattr(holder, "hasMember", None)
    sites = _sites(holder) if hasattr(holder, "bodySite") else []
    sided = any(judged(text, target) and site_of(base, sites, [text]).side != "unknown" for text in spoken)
    return sided and not asked and not parts


def _coded_answer(base: KnowledgeBase, target: Concept, value: Any) -> bool | None:
    if any(m.concept == target.id for m in by_code(base, value)):
        return True
    codes = {code.lower() for _, code, _ in codings(value)}
    if codes & _NO_ANSWER_CODES:
        return None
    # "No (qualifier value)" is how SNOMED CT spells a plain no.
    spoken = [t.strip().lower().split("(")[0].strip() for t in texts(value)]
    if not spoken:
        # HL7 v2-0136 Y and N carry their meaning in the code alone.
        return "y" in codes if codes & {"y", "n"} else None
    answers = {_spoken_answer(t, target) for t in spoken} - {None}
    return answers.pop() if len(answers) == 1 else None


def _spoken_answer(text: str, target: Concept) -> bool | None:
    """A text given as the answer to the question about the target: any description is a yes, a doubt is no answer."""
    plain = text.strip().lower().rstrip(".! ")
    if not plain or _NO_ANSWER.fullmatch(plain):
        return None
    if plain in _NO:
        return False
    said = judged(plain, target, here=True)
    if plain in _YES or said is not None:
        return said is not False
    negated = _NEGATED.match(plain)
    if negated:
        # "No swelling" denies; "no change" and "not sure" do not say what there is.
        own = {word for phrase in (*target.text, *target.sign) for word in phrase.split() if len(word) > 3}
        words = {word for said in negated[1].split() for word in (said, said.rstrip("s"))}
        return False if words & own else None
    return True


# -- conditions -------------------------------------------------------------------------------------------------------


def _from_conditions(base: KnowledgeBase, record: Record, target: Concept, zone: tzinfo) -> Iterator[Report]:
    for resource in record.of("Condition"):
        raw = resource.raw.get("code")
        coded = [m for m in by_code(base, raw) if m.concept == target.id]
        past = any(_HISTORY.search(text.lower()) for text in texts(raw))
        if not coded and (past or not means(base, raw, target, *_with_site(base, target, resource.raw))):
            continue
        model = resource.read.model
        if model is None or not exists(model) or _is_over(model):
            continue
        # The day it was recorded is the day it was known to be there; an onset before that only says since when.
        when = moment(model.recordedDate or onset(model), zone)
        match = coded[0] if coded else Match(target.id, None, next(iter(texts(raw)), ""))
        report = _report(base, resource, match, True, when, model, model)
        if report is not None:
            yield report


# -- notes ------------------------------------------------------------------------------------------------------------


def _from_notes(base: KnowledgeBase, record: Record, target: Concept, zone: tzinfo) -> Iterator[Report]:
    """What a note or an answer beside another coded symptom states, as free text; denials there tell nothing."""
    for resource in (*record.of("Observation"), *record.of("Condition")):
        notes = [text for text in _beside(resource) if _named(text, target)]
        if not notes or not _is_of_another(base, resource, target):
            continue
        model = resource.read.model
        if model is None:
            continue
        if resource.type == "Observation":
            counts, when = standing(resource.raw.get("status")) == "usable", effective(model, zone)
        else:
            counts, when = exists(model) and not _is_over(model), moment(model.recordedDate or onset(model), zone)
        if not counts:
            continue
        here = _is_placed(base, target, _sites(model))
        for text in (text for text in notes if judged(text, target, here=here)):
            told = _without_denials(text, target)
            side = site_of(base, (), [told], None, target.elsewhere).side
            side = site_of(base, _sites(model), [], None).side if side == "unknown" and here else side
            persistent, severe = (_is_called(base, target, [text], words) for words in (_PERSISTENT, _SEVERE))
            if not persistent and _only_describes(base, resource, target):
                continue
            yield Report(resource, True, when, side, persistent, severe, False, text)


def _beside(resource: Resource) -> Iterator[str]:
    """The notes, and an answer given in words."""
    notes = resource.raw.get("note")
    for note in notes if isinstance(notes, list) else ():
        if isinstance(note, dict) and isinstance(note.get("text"), str):
            yield note["text"]
    if isinstance(resource.raw.get("valueString"), str):
        yield resource.raw["valueString"]
    answer = resource.raw.get("valueCodeableConcept")
    if isinstance(answer, dict) and not answer.get("coding") and isinstance(answer.get("text"), str):
        yield answer["text"]


def _coded_as(base: KnowledgeBase, resource: Resource) -> set[str]:
    if resource.type == "Observation":
        seen = glance(base, resource)
        return {*seen.asked, *seen.answered}
    return {m.concept for m in by_code(base, resource.raw.get("code"))}


def _only_describes(base: KnowledgeBase, resource: Resource, target: Concept) -> bool:
    """Whether the coded symptom claims the target's signs: the pain of a cramp is no leg pain of its own."""
    words = {word for name in _coded_as(base, resource) for word in base.concepts[name].sign}
    return not words.isdisjoint(target.not_of)


def _is_of_another(base: KnowledgeBase, resource: Resource, target: Concept) -> bool:
    """Whether the resource is coded as a symptom, and not as this one."""
    coded = _coded_as(base, resource)
    return target.id not in coded and any(base.concepts[name].family == target.family for name in coded)


def _is_over(model: Any) -> bool:
    """Whether the record says that it is over: by its status, or without one by its end."""
    state = clinical_state(model)
    ended = any(getattr(model, f"abatement{kind}") for kind in ("DateTime", "Period", "Age", "Range", "String"))
    return state == "inactive" or (state == "unknown" and ended)


def _with_site(base: KnowledgeBase, target: Concept, raw: dict[str, Any]) -> tuple[str, ...]:
    """The condition's texts together with its body site, where that is the place of the target's signs."""
    body = raw.get("bodySite")
    if not target.site or not _is_placed(base, target, body if isinstance(body, list) else [body]):
        return ()
    return tuple(f"{text}, {target.site[0]}" for text in texts(raw.get("code")))


def _sites(model: Any) -> list[Any]:
    """The body sites of an Observation (one) or a Condition (many), and those that a component gives."""
    body = model.bodySite
    own = body if isinstance(body, list) else [body] if body is not None else []
    parts = getattr(model, "component", None) or ()
    return [*own, *(p.valueCodeableConcept for p in parts if p.valueCodeableConcept is not None and _asks_site(p.code))]


def _asks_site(code: Any) -> bool:
    """Whether a component asks where the finding is ("Laterality", "Body site")."""
    return any(_SITE_QUESTION.search(text.lower()) for text in texts(code))


def _describes(code: Any) -> bool:
    """Whether a component says how the finding is ("Duration", "Severity")."""
    return any(_DESCRIBING_QUESTION.search(text.lower()) for text in texts(code))


def _descriptions(model: Any) -> Iterator[str]:
    """What the describing components say in words."""
    for part in getattr(model, "component", None) or ():
        if _describes(part.code):
            yield from (*texts(part.valueCodeableConcept), *([part.valueString] if part.valueString else []))


def _report(
    base: KnowledgeBase,
    resource: Resource,
    match: Match,
    present: bool | None,
    when: Moment | None,
    model: Any,
    holder: Any,
) -> Report | None:
    """A report with its side, or None when the code does not mean the leg here."""
    spoken = [*texts(holder.code), *texts(getattr(holder, "valueCodeableConcept", None))]
    if getattr(holder, "valueString", None):
        spoken.append(holder.valueString)
    target = base.concepts[match.concept]
    notes = _notes(model) if match.code is not None and holder is model else []
    described = list(_descriptions(model)) if holder is model else []
    beside = [*spoken, *notes, *described]
    told = [_without_denials(text, target) for text in spoken] if present else spoken
    site = site_of(base, _sites(model), told, match.code, target.elsewhere)
    if site.side == "unknown" or not site.leg:
        in_note = site_of(
            base, _sites(model), [_without_denials(t, target) for t in beside], match.code, target.elsewhere
        )
        site = in_note if in_note.leg or not site.leg else site
    words = " ".join(spoken).lower()
    if match.code is not None and not _fits(base, match.code, site, words, _sites(model)):
        return None
    persistent = bool(match.code and match.code.persistent) or _is_called(base, target, beside, _PERSISTENT)
    shown = match.text or next(iter(texts(holder.code)), "")
    severe = _is_severe(base, target, beside, getattr(model, "severity", None))
    timing = tuple(_timing(match.code, beside)) if present else ()
    return Report(resource, present, when, site.side, persistent, severe, match.code is not None, shown, timing)


def _notes(model: Any) -> list[str]:
    """The texts of the annotations beside a finding."""
    return [note.text for note in model.note or () if note.text]


def _timing(code: Code | None, spoken: Iterable[str]) -> Iterator[str]:
    """Night or day and since when, in the words of the record; each once."""
    texts_ = (*spoken, *([code.display] if code is not None else []))
    for text in texts_:
        yield from dict.fromkeys(hit[0] for hit in _TIMING.finditer(text[:2000].lower()))


def _without_denials(text: str, target: Concept) -> str:
    """The text without clauses that deny the target: "no swelling of the left leg, right leg swollen" is the right."""
    if not target.sign:
        return text
    return ", ".join(clause for clause in clauses(text) if judged(clause, target) is not False)


def _is_severe(base: KnowledgeBase, target: Concept, spoken: list[str], severity: Any) -> bool:
    """Whether the record calls this symptom severe; the severe headache of the same note is another matter."""
    if any(match.concept == "severe" for match in by_code(base, severity)):
        return True
    return any(states(text, _SEVERE) for text in texts(severity)) or _is_called(base, target, spoken, _SEVERE)


def _is_called(base: KnowledgeBase, target: Concept, spoken: Iterable[str], quality: re.Pattern[str]) -> bool:
    """Whether a text says this of the target: in a clause that names it, or no symptom of another place."""
    others = [c for c in base.concepts.values() if c.family == target.family and not set(c.site) & set(target.site)]
    return any(
        states(clause, quality) and (_named(clause, target) or all(judged(clause, c) is None for c in others))
        for text in spoken
        for clause in clauses(text)
        if quality.search(clause)
    )


def _fits(base: KnowledgeBase, code: Code, site: Site, words: str, sites: list[Any]) -> bool:
    """Whether a code that names no place may count as one of its place here."""
    if code.needs_site == "leg":
        return site.leg
    if code.needs_site is not None:
        place = base.concepts[code.needs_site]
        return (
            names(words, place.text)
            or any(names(text, place.text) for body in sites for text in texts(body))
            or any(m.concept == place.id for body in sites for m in by_code(base, body))
        )
    return not code.unspecific or not (site.elsewhere or (not site.leg and _ELSEWHERE.search(words)))
