"""Proofs about the rules, told in the words of those who write them."""

from cds.assurance.cases import CaseResult, run_case, run_cases

__all__ = ["CaseResult", "run_case", "run_cases"]
