"""rules/ on disk -> a checked, frozen KnowledgeBase with a content hash."""

from cds.knowledge.cases import Case, CaseFact, load_cases
from cds.knowledge.errors import KnowledgeError, Problem
from cds.knowledge.lint import check
from cds.knowledge.load import bundled_rules, load_knowledge
from cds.knowledge.model import FactKey, KnowledgeBase, Rule, Threshold

__all__ = [
    "Case",
    "CaseFact",
    "FactKey",
    "KnowledgeBase",
    "KnowledgeError",
    "Problem",
    "Rule",
    "Threshold",
    "bundled_rules",
    "check",
    "load_cases",
    "load_knowledge",
]
