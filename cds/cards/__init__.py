"""Matches -> recommendations (precedence, suppression, merging) -> cards."""

from cds.cards.recommend import Recommendation, Verdict, recommend, standing
from cds.cards.render import PROOF, fact_proof, render

__all__ = ["PROOF", "Recommendation", "Verdict", "fact_proof", "recommend", "render", "standing"]
