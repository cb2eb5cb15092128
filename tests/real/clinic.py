"""A running service with a stopped clock, as these tests use it: HTTP, and its adviser to look inside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import httpx

from cds.advise import Advice, Adviser
from cds.facts import Fact
from cds.hooks import parse_request
from cds.service.json_input import parse_json
from tests.real.ehr import Chart, Ehr, Json


@dataclass(frozen=True)
class Clinic:
    """``http`` speaks to the server, ``adviser`` is the one that the server uses, ``now`` is its clock."""

    http: httpx.Client
    adviser: Adviser
    now: datetime

    def ehr(self, chart: Chart) -> Ehr:
        return Ehr(self.http, chart)

    def advice(self, request: Json) -> Advice:
        """What the server works out for the same body; raises DataUnavailable where the server says 412."""
        body = parse_json(json.dumps(request).encode())
        return self.adviser.advise(parse_request(body, hook=request["hook"]), self.now)

    def fact(self, chart: Chart, kind: str, concept: str, hook: str = "order-sign") -> Fact:
        """One fact as the rules of ``hook`` see it in this chart."""
        return self.advice(self.ehr(chart).request(hook)).census.facts[(kind, concept)]
