"""What an operator counts, in the Prometheus text format. No label ever holds a word of a request.

Labels come from fixed sets: our routes, services, rule ids, status codes, and the names that our own trust file gives
to verified clients. A word that is none of a set is counted as "other", so no caller can make new series.

One process keeps its numbers in memory. Several share a folder of small files, one per process, and each of them can
answer for all; `prometheus_client` decides that when it is imported, by the variable `FOLDER_VARIABLE`.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import Scope

import cds
from cds.facts.record import NOT_FETCHED
from cds.service.trust.refusal import Reason

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
NONE: Final = "none"
OTHER: Final = "other"

DURATIONS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper edges of the duration histogram, in seconds: a card takes milliseconds, a client waits some seconds."""

INDICATORS: Final = frozenset({"info", "warning", "critical"})
ENGINE_ERRORS: Final = frozenset({"mismatch", "fault"})
FETCH_RESULTS: Final = frozenset({"ok", *NOT_FETCHED})
REFUSALS: Final = frozenset({"busy", "store-unavailable", *get_args(Reason)})
FEEDBACK_OUTCOMES: Final = frozenset({"accepted", "overridden", "unavailable"})


class Metrics:
    """The numbers of one application, in a registry of their own: several may live in one process."""

    def __init__(self) -> None:
        self._folder = os.environ.get(FOLDER_VARIABLE)
        self._registry = registry = CollectorRegistry()
        if self._folder is None:
            ProcessCollector(registry=registry)
        self._requests = Counter(
            "prenatal_cds_requests",
            "Answers by route, service, hook, status and verified client.",
            ("route", "service", "hook", "status", "client"),
            registry=registry,
        )
        self._duration = Histogram(
            "prenatal_cds_request_duration_seconds",
            "Time from the first byte of a request to the end of its answer.",
            ("route", "service"),
            buckets=DURATIONS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "prenatal_cds_requests_in_flight",
            "Requests that wait for their answer.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._cards = Counter(
            "prenatal_cds_cards", "Cards given, by rule and indicator.", ("rule", "indicator"), registry=registry
        )
        self._silent = Counter(
            "prenatal_cds_answers_without_cards", "Answers that held no card.", ("service",), registry=registry
        )
        self._unavailable = Counter(
            "prenatal_cds_data_unavailable",
            "Answers 412, by each prefetch key that could not be had.",
            ("key",),
            registry=registry,
        )
        self._engine_errors = Counter(
            "prenatal_cds_engine_errors",
            "Calls that failed in the rule engine: fault, or mismatch with the second evaluation.",
            ("kind",),
            registry=registry,
        )
        self._fetches = Counter(
            "prenatal_cds_fhir_fetches", "Requests to FHIR servers of clients.", ("result",), registry=registry
        )
        self._refusals = Counter(
            "prenatal_cds_refusals", "Requests refused before any advice.", ("reason",), registry=registry
        )
        self._feedback = Counter("prenatal_cds_feedback", "Feedback received.", ("outcome",), registry=registry)
        self._reloads = Counter(
            "prenatal_cds_rules_reloads", "Attempts to replace the rules.", ("result",), registry=registry
        )
        self._reload_failed = Gauge(
            "prenatal_cds_rules_reload_failed",
            "1 while the rules on disk are refused and older ones serve.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._reload_time = Gauge(
            "prenatal_cds_rules_reload_timestamp_seconds",
            "When the rules were last replaced (success) or refused (failure).",
            ("result",),
            registry=registry,
            multiprocess_mode="max",
        )
        self._rules = Gauge(
            "prenatal_cds_rules_info",
            "1 for the rules in use, 0 for those that were.",
            ("hash", "profile"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        build = Gauge(
            "prenatal_cds_build_info",
            "Always 1; the version is in the labels.",
            ("version", "python"),
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(cds.__version__, platform.python_version()).set(1)
        self._reload_failed.set(0)
        for kind in sorted(ENGINE_ERRORS):  # a series that appears with its first error has no rate to alarm on
            self._engine_errors.labels(kind)

    def began(self) -> None:
        """A request has come in; `ended` must follow."""
        self._in_flight.inc()

    def ended(self, notes: Mapping[str, Any], route: str, status: int | None, client: str | None, took: float) -> None:
        """Its answer is out, after `took` seconds; without `status` there was none."""
        self._in_flight.dec()
        service, hook = notes.get("service") or NONE, notes.get("hook") or NONE
        self._requests.labels(route, service, hook, str(status or NONE), client or NONE).inc()
        self._duration.labels(route, service).observe(took)

    def count_cards(self, service: str, cards: Sequence[tuple[str, str]]) -> None:
        """The cards of one answer, as (rule id, indicator)."""
        if not cards:
            self._silent.labels(service).inc()
        for rule, indicator in cards:
            self._cards.labels(rule, _of(indicator, INDICATORS)).inc()

    def count_unavailable(self, key: str) -> None:
        """A prefetch key whose lack made the answer a 412; one of `cds.facts.record.PART_TITLES`."""
        self._unavailable.labels(key).inc()

    def count_engine_error(self, kind: str) -> None:
        """`fault` or `mismatch`."""
        self._engine_errors.labels(_of(kind, ENGINE_ERRORS)).inc()

    def count_fhir_fetch(self, result: str) -> None:
        """One request to a FHIR server; a word of FETCH_RESULTS."""
        self._fetches.labels(_of(result, FETCH_RESULTS)).inc()

    def count_refusal(self, reason: str) -> None:
        """A request refused before any advice; a word of REFUSALS."""
        self._refusals.labels(_of(reason, REFUSALS)).inc()

    def count_feedback(self, outcome: str) -> None:
        """One item of feedback; a word of FEEDBACK_OUTCOMES."""
        self._feedback.labels(_of(outcome, FEEDBACK_OUTCOMES)).inc()

    def rules_in_use(self, knowledge_hash: str, profile: str, before: str | None = None) -> None:
        """Which rules serve from now on; `before` is the hash of those that did."""
        if before is not None:
            self._rules.labels(before, profile).set(0)
        self._rules.labels(knowledge_hash, profile).set(1)

    def reloaded(self, result: str) -> None:
        """An attempt to replace the rules ended with `success` or `failure`."""
        self._reloads.labels(result).inc()
        self._reload_failed.set(result != "success")
        self._reload_time.labels(result).set(time.time())

    def text(self) -> bytes:
        """All of it, as `GET /metrics` answers; of several processes, the sum."""
        if self._folder is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def metrics_of(scope: Scope) -> Metrics:
    """The metrics of the application that answers this request."""
    found: Metrics = scope["app"].state.metrics
    return found


def forget_process(pid: int, folder: Path) -> None:
    """Drop what only counts while a process lives, such as its requests in flight."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _of(word: str, known: frozenset[str]) -> str:
    return word if word in known else OTHER
