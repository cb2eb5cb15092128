"""Matches -> recommendations (precedence, suppression, merging) -> cards."""

from cds.cards.recommend import Recommendation, Verdict, recommend, standing
from cds.cards.render import PROOF, fact_proof, render
from cds.cards.speech import Foreign, Untranslated

__all__ = [
    "PROOF",
    "Foreign",
    "Recommendation",
    "Untranslated",
    "Verdict",
    "fact_proof",
    "recommend",
    "render",
    "standing",
]
