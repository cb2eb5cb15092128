"""One word for one thing: the terms that Spanish and Chinese texts keep, so that two cards never name it twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cds.knowledge import KnowledgeBase
from cds.knowledge.languages import Form, Language

# What is not written, and what stands for it.
ES = {
    r"calcio iónico": "calcio ionizado",
    r"polític[ao]s? local": "protocolo local",
    r"(?<!vitamina D )\bdéficit\b": "deficiencia",
    r"\bprescripción\b": "orden",
    r"\bpaludismo\b": "malaria",
    r"bifosfonato": "bisfosfonato",
    r"consejo nutricional": "asesoramiento nutricional",
    r"(encima|fuera) del intervalo": "rango de referencia",
    r"vitamina D activas?\b(?! o análogo)": "en uso: vitamina D activa is calcitriol",
}
ZH = {
    r"游离钙|钙离子": "离子钙",
    r"(?<!小)腿抽筋|腿部痉挛": "腿部抽筋",
    r"孕期": "妊娠期",
    r"当地|本机构": "本地规定, 本地流程, 本地指南",
    r"产品": "制剂",
    r"抗生素": "抗菌药",
    r"医嘱草稿": "草稿医嘱",
    r"（紧急）": "（加急）",
    r"[\u4e00-\u9fff][A-Za-z]|[A-Za-z][\u4e00-\u9fff]|[A-Za-z]\{": "a space between the scripts",
    r"[\u4e00-\u9fff}][,;:?!]|[,;:?!][\u4e00-\u9fff]|[\u4e00-\u9fff]\.": "the marks of the script",
}
INFINITIVE = re.compile(r"(?:^|[.:;] )(?:considerar|revisar|preguntar|evaluar|valorar|comprobar|separar)\b", re.I)


def forms(language: Language) -> Iterator[Form]:
    for text in language.rules.values():
        yield from (text.form, *text.variants.values())


def bodies(language: Language) -> Iterator[str]:
    """Summaries and details: what is said to the clinician, without headings and labels."""
    for form in forms(language):
        yield from (form.summary or "", *(part.text for part in form.detail or ()))
    for text in language.rules.values():
        yield from (*text.replace.values(), *text.add)


def all_texts(language: Language) -> Iterator[str]:
    yield from bodies(language)
    for form in forms(language):
        yield from form.labels or ()
    for text in language.rules.values():
        yield from (text.title or "", text.caution or "")
    for section in language.texts.values():
        yield from section.values()


@pytest.mark.parametrize(("tag", "terms"), [("es", ES), ("zh-Hans", ZH)])
def test_one_thing_has_one_name(knowledge: KnowledgeBase, tag: str, terms: dict[str, str]) -> None:
    texts = [text for text in all_texts(knowledge.languages[tag]) if text]
    assert len(texts) > 400
    found = [(text, kept) for text in texts for pattern, kept in terms.items() if re.search(pattern, text)]
    assert found == []


def test_spanish_speaks_to_the_clinician_in_one_form(knowledge: KnowledgeBase) -> None:
    assert [text for text in bodies(knowledge.languages["es"]) if INFINITIVE.search(text)] == []


def test_what_english_leaves_to_the_clinician_is_no_order_in_another_language(knowledge: KnowledgeBase) -> None:
    """A summary that says "consider" says so in every language."""
    says = {"es": re.compile(r"considér|consider", re.I), "zh-Hans": re.compile("可考虑|考虑")}
    for tag, pattern in says.items():
        for rule in knowledge.rules:
            if rule.then is None or rule.then.card is None:
                continue
            said = knowledge.languages[tag].rules[rule.id]
            pairs = [(rule.then.card.summary, said.form.summary)]
            pairs += [(v.summary, said.variants[v.name].summary) for v in rule.then.variants if v.summary]
            for english, other in pairs:
                if english and "consider" in english:
                    assert other is not None
                    assert pattern.search(other), (rule.id, other)
