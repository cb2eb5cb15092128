"""Every sentence that the fact layer can put on a card has a template in every language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.knowledge import KnowledgeBase
from cds.knowledge.languages import CARD_WORDS

FACTS = Path(__file__).resolve().parents[2] / "cds" / "facts"
# Words and patterns that are looked for in the record, and units: none of it is said.
SEARCHED = {"coding", "dose", "units", "dates", "prefetch"}
SENTENCE = re.compile(r"[a-z]{2,}[:,;]? [a-z(]{2,}")
PATTERN = re.compile(r"[\\|*^$]|\(\?")
NEVER_SAID = {"patient of the hook", "a number"}  # stand-ins that only the reader of FHIR sees


def sentences(tree: ast.AST) -> Iterator[str]:
    """The pieces of text between the braces of f-strings, and plain texts; docstrings, errors, word sets left out."""
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.Assert, ast.Set)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            silent.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            text = node.value
            if SENTENCE.search(text) and not PATTERN.search(text) and text not in NEVER_SAID:
                yield text


@pytest.mark.parametrize("module", sorted(p.stem for p in FACTS.glob("*.py") if p.stem not in SEARCHED))
@pytest.mark.parametrize("tag", ["es", "zh-Hans"])
def test_every_sentence_of_the_fact_layer_has_a_template(knowledge: KnowledgeBase, module: str, tag: str) -> None:
    language = knowledge.languages[tag]
    known = [
        *CARD_WORDS.values(),
        *language.phrases,
        *language.parts,
        *(text for shown in language.shown.values() for text in shown),
    ]
    said = " ".join(" ".join(text.split()) for text in known)
    spoken = sentences(ast.parse((FACTS / f"{module}.py").read_text(encoding="utf-8")))
    missing = sorted({text for text in spoken if text.strip(" :;(),'+") not in said})
    assert not missing, f"rules/languages/{tag}.yaml: phrases or shown lacks {missing}"
