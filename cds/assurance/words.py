"""Conditions as sentences that a midwife or a doctor can check: no name of a file, no word of the rule language.

`{symptom: leg-cramps, reported_within: cramp-window}` reads "Leg cramps reported in the last 28 days".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cds.knowledge.model import AnyOf, Assertion, Clause, Condition, KnowledgeBase

Sentence = str | tuple[str, tuple["Sentence", ...]]
"""A sentence, or an introduction with the sentences that stand below it."""

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")

# What a bare line claims: there is such a fact. {it} is the fact's name; the second form is its denial, the third
# says that nobody knows.
_PRESENCE: Final[Mapping[str, tuple[str, str, str]]] = {
    "person": ("{It} is recorded", "{It} is not recorded", "{It} is not known"),
    "gestation": ("{It} is recorded", "{It} does not apply", "{It} is not known"),
    "lab": ("{It}: a usable result is on record", "No usable result: {it}", "{It} is not known"),
    "vital": ("{It}: a usable measurement is on record", "No usable measurement: {it}", "{It} is not known"),
    "diet": ("{It} is recorded", "No {it} is recorded", "{It} is not known"),
    "intake": ("{It} is recorded", "No {it} is recorded", "{It} is not known"),
    "exposure": ("{It}: yes", "{It}: no", "{It} is not known"),
    "symptom": ("{It} reported", "{It} asked about and denied", "{It}: not known, nobody wrote yes or no"),
    "imaging": ("{It}: a report is on record", "No report: {it}", "{It}: not known whether there is a report"),
    "condition": (
        "{It} is among the diagnoses, now or in the past",
        "{It} is not among the diagnoses supplied",
        "{It}: not known whether it is among the diagnoses",
    ),
    "allergy": (
        "{It} is recorded as allergy or intolerance",
        "{It} is not among the allergies and intolerances supplied",
        "{It}: not known whether it is recorded as allergy or intolerance",
    ),
    "procedure": ("{It}: done", "{It}: not done, as far as supplied", "{It}: not known whether it was done"),
    "request": ("Open order: {it}", "No open order: {it}", "Not known whether there is an open order: {it}"),
    "medication": ("Takes: {it}", "Does not take, as far as supplied: {it}", "Not known whether she takes: {it}"),
    "order": ("Draft order: {it}", "No draft order: {it}", "Not known whether there is a draft order: {it}"),
    "data": (
        "The {it} part of the record was supplied",
        "The {it} part of the record was not supplied",
        "It is not known whether the {it} part of the record was supplied",
    ),
}
_PREGNANT: Final = ("She is pregnant", "She is not pregnant", "It is not known whether she is pregnant")

# The fact in front of a value or a window; for the kinds that are not named, the form that claims presence.
_SUBJECT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("person", "gestation", "lab", "vital", "diet", "intake", "exposure", "condition"), "{It}"),
    **dict.fromkeys(("imaging", "allergy", "procedure", "data"), "{It}"),
    "symptom": "{It} reported",
}
_NOT_WITHIN: Final[Mapping[str, str]] = {
    "lab": "No result in the last {limit}: {it}",
    "vital": "No measurement in the last {limit}: {it}",
    "symptom": "Not reported in the last {limit}: {it}",
    "imaging": "No report in the last {limit}: {it}",
    "procedure": "Not done in the last {limit}: {it}",
    "request": "No open order of the last {limit}: {it}",
    "condition": "Not recorded in the last {limit}: {it}",
    "diet": "Not recorded in the last {limit}: {it}",
    "intake": "Not recorded in the last {limit}: {it}",
    "exposure": "Not recorded in the last {limit}: {it}",
}
_LIMITS: Final[Mapping[str, str]] = {
    "below": "below {limit}",
    "above": "above {limit}",
    "at_least": "{limit} or more",
    "at_most": "{limit} or less",
}
_VERBS: Final = {
    "measured": "measured",
    "recorded": "recorded",
    "reported": "reported",
    "done": "done",
    "open": "ordered",
}
_FLAGS: Final[Mapping[tuple[str, bool], str]] = {
    ("above_range", True): "above the laboratory's own range",
    ("above_range", False): "not above the laboratory's own range",
    ("below_range", True): "below the laboratory's own range",
    ("below_range", False): "not below the laboratory's own range",
    ("lower_limit", True): "the laboratory gave a lower limit",
    ("lower_limit", False): "the laboratory gave no lower limit",
    ("upper_limit", True): "the laboratory gave an upper limit",
    ("upper_limit", False): "the laboratory gave no upper limit",
    ("one_sided", True): "on one side only",
    ("one_sided", False): "not on one side only",
    ("persistent", True): "persistent",
    ("persistent", False): "not persistent",
    ("severe", True): "severe",
    ("severe", False): "not severe",
    ("coded", True): "recorded with a code",
    ("coded", False): "recorded in free text only",
    ("after_signs", True): "made when the newest leg sign was known, or later",
    ("after_signs", False): "made before the newest leg sign was known",
    ("active", True): "active",
    ("active", False): "no longer active",
    ("dose_known", True): "its dose is known",
    ("dose_known", False): "its dose is not known",
    ("selected", True): "selected or being signed now",
    ("selected", False): "neither selected nor being signed now",
}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "side": {
        "left": "on the left",
        "right": "on the right",
        "both": "on both sides",
        "unknown": "side not recorded",
    },
    "pregnancy_range": {
        "below": "below the range for this stage of pregnancy",
        "inside": "inside the range for this stage of pregnancy",
        "above": "above the range for this stage of pregnancy",
        "none": "no range for this stage of pregnancy can be applied",
    },
    "result": {"negative": "result negative", "positive": "result positive", "unclear": "result not clear"},
    "reason": {"malaria": "ordered for malaria"},
    "is": {"low": "answered low", "moderate": "answered moderate", "high": "answered high"},
}


def sentence(base: KnowledgeBase, clause: Clause) -> Sentence:
    """One line under `when` or `unless` in plain words, with the numbers of the profile in force."""
    if not isinstance(clause, AnyOf):
        return _condition(base, clause)
    parts: list[Sentence] = []
    for alternative in clause.alternatives:
        lines = tuple(_condition(base, condition) for condition in alternative)
        parts.append(lines[0] if len(lines) == 1 else ("All of:", lines))
    return parts[0] if len(parts) == 1 else ("At least one of:", tuple(parts))


def sentences(base: KnowledgeBase, clauses: tuple[Clause, ...]) -> tuple[Sentence, ...]:
    """The lines of a list of clauses, in reading order."""
    return tuple(sentence(base, clause) for clause in clauses)


def filled(base: KnowledgeBase, text: str) -> str:
    """A text of a card with its numbers; what comes from her record stands in brackets."""
    return _PLACEHOLDER.sub(lambda m: base.thresholds[m[1]].quoted if m[1] in base.thresholds else f"[{m[1]}]", text)


def concluded_by(base: KnowledgeBase, finding: str) -> str:
    """What a finding means: the titles of the rules that conclude it."""
    return " / ".join(rule.title for rule in base.rules if rule.concludes == finding)


def low_first(text: str) -> str:
    """A name inside a sentence: 'Leg cramps' becomes 'leg cramps', 'D-dimer' stays."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _condition(base: KnowledgeBase, condition: Condition) -> str:
    text = _plain(base, condition)
    if condition.or_unknown:
        text += " (or this is not known)"
    return f"{text} (shown as [{condition.bind}])" if condition.bind else text


def _plain(base: KnowledgeBase, condition: Condition) -> str:
    wanted = all(a.literal is not False for a in condition.assertions)
    if condition.kind == "finding":
        meaning = f"{concluded_by(base, condition.concept)} (finding {condition.concept})"
        return meaning if wanted else f"This does not hold: {meaning}"
    if condition.kind == "profile":
        flag = condition.concept.replace("-", " ")
        state = "it does" if base.flags[condition.concept] else "it does not"
        verb = "says" if wanted else "does not say"
        return f"The profile in force {verb} '{flag}' (profile {base.profile}: {state})"
    title = base.title_of(condition.key)
    claims: list[str] = []
    limits: list[str] = []
    values: list[str] = []
    windows: list[str] = []
    forms = _PREGNANT if condition.key == ("gestation", "pregnant") else _PRESENCE[condition.kind]
    for assertion in condition.assertions:
        presence = _presence(condition.kind, assertion)
        if presence is not None:
            claims.append(_named(forms[presence], title))
        elif assertion.word.negated:
            limit = base.threshold(assertion.threshold or "").quoted
            claims.append(_named(_NOT_WITHIN[condition.kind].replace("{limit}", limit), title))
        elif assertion.word.attribute == "age" and assertion.keyword.endswith("_within"):
            windows.append(_value(base, assertion))
        else:
            (limits if assertion.keyword in _LIMITS else values).append(_value(base, assertion))
    # What the line says of the fact's limits is one phrase: "1.10 mmol/L or more and 1.33 mmol/L or less".
    said = [" and ".join(limits)] * bool(limits) + values
    if not said and not windows:
        return ", ".join(claims or [_named(forms[0], title)])
    if claims:
        return ", ".join([*claims, *said, *windows])
    return _with_subject(condition.kind, title, said, windows, forms[0])


def _with_subject(kind: str, title: str, said: list[str], windows: list[str], claim: str) -> str:
    """The fact's name with what is said of it: 'Leg cramps reported in the last 28 days, severe'."""
    if kind not in _SUBJECT:
        return ", ".join([_named(claim, title), *said, *windows])
    subject = _named(_SUBJECT[kind], title)
    if kind == "symptom":
        window = windows[0].removeprefix("reported") if windows else ""
        return ", ".join([subject + window, *said])
    rest = [*said, *windows]
    runs_on = rest[0].startswith(("below", "above", *_VERBS.values())) and "," not in title
    return subject + (" " if runs_on else ": ") + ", ".join(rest)


def _presence(kind: str, assertion: Assertion) -> int | None:
    """Which form of a bare line a word stands for: there is one (0), there is none (1), nobody knows (2)."""
    if assertion.keyword == "known":
        return 0 if assertion.literal else 2
    if assertion.keyword in ("present", "supplied") or (kind == "gestation" and assertion.keyword == "is"):
        return 0 if assertion.literal else 1
    return None


def _value(base: KnowledgeBase, assertion: Assertion) -> str:
    word = assertion.keyword
    if assertion.threshold is None:
        if isinstance(assertion.literal, bool):
            return _FLAGS[word, assertion.literal]
        return _WORDS[word][str(assertion.literal)]
    limit = base.threshold(assertion.threshold).quoted
    if word == "days_after_counselling":
        return f"{limit} or more after self-care was explained"
    if assertion.word.attribute == "age" and word.endswith("_within"):
        return f"{_verb(assertion)} in the last {limit}"
    for prefix, noun in (("single_dose_", "single dose "), ("dose_", "daily dose "), ("", "")):
        if word.startswith(prefix):
            return noun + _LIMITS[word.removeprefix(prefix)].format(limit=limit)
    raise KeyError(word)


def _verb(assertion: Assertion) -> str:
    return _VERBS[assertion.keyword.removeprefix("not_").removesuffix("_within")]


def _named(form: str, title: str) -> str:
    return form.replace("{It}", title).replace("{it}", low_first(title))
