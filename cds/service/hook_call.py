"""The CDS Hooks endpoints: discovery, and the call of a service.

read body -> strict JSON -> HookRequest -> what prefetch lacks -> Adviser.advise -> cards
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from cds.hooks import parse_request, to_json
from cds.service.answers import Refusal, json_answer, note
from cds.service.body import read_body
from cds.service.fhir.access import FhirAccess
from cds.service.json_input import dump_json, parse_json
from cds.service.language import negotiate
from cds.service.limits import check_size, deadline_of, place_of
from cds.service.metrics import metrics_of
from cds.service.ruleset import RuleSet
from cds.service.settings import BASE_URL, Settings
from cds.service.trust.client import client_of


async def discovery(request: Request) -> Response:
    """`GET /cds-services`: the services, in the language that the client asks for."""
    rules: RuleSet = request.app.state.rules
    language = _language(request, rules)
    return Response(rules.discovery[language], headers=_language_headers([language]), media_type="application/json")


async def questionnaire(request: Request) -> Response:
    """`GET /questionnaires/{id}`: a form whose answers the services read, as FHIR."""
    rules: RuleSet = request.app.state.rules
    form = rules.knowledge.form(request.path_params["questionnaire_id"])
    if form is None:
        raise Refusal(404, "not-found", "There is no such questionnaire; cards link to those that exist.")
    return Response(dump_json(form.form), media_type="application/fhir+json")


async def call(request: Request) -> Response:
    """`POST /cds-services/{id}`: the answer of one service to one hook."""
    settings: Settings = request.app.state.settings
    # Taken once: a reload may put another set in its place while this request waits.
    rules: RuleSet = request.app.state.rules
    service = rules.services.get(request.path_params["service_id"])
    if service is None:
        raise Refusal(404, "not-found", "There is no such service; GET /cds-services lists them.")
    note(request.scope, service=service.id, hook=service.hook)
    with place_of(request).left_when_slow():
        body = await read_body(request, settings)
    hook_request = parse_request(parse_json(body, settings.max_depth), hook=service.hook)
    check_size(hook_request, settings)
    fhir: FhirAccess = request.app.state.fhir
    client = client_of(request.scope)
    servers = client.fhir_servers if client else None
    deadline = deadline_of(request)
    found = await fhir.complete(hook_request, service.prefetch or {}, servers, deadline.remaining)
    metrics = metrics_of(request.scope)
    for result in found.results:
        metrics.count_fhir_fetch(result)
    note(request.scope, fetched=found.fetched, not_fetched=None if found.fetched is None else len(found.gaps))
    # Inline, not in a thread: it is a few milliseconds of CPU work that holds the GIL and one engine lock
    # anyway, and a thread was measured to double its time. More requests at once need more workers.
    language = _language(request, rules)
    advice = rules.adviser.advise(
        found.request,
        settings.now(),
        language,
        public_url=_own_url(request),
        gaps=found.gaps,
        tick=deadline.tick,
    )
    given = [(card.source.topic.code, card.indicator) for card in advice.cards if card.source.topic is not None]
    note(request.scope, cards=len(advice.cards), rules=[rule for rule, _ in given])
    metrics.count_cards(service.id, given)
    return json_answer(to_json(advice.response()), headers=_language_headers(advice.languages or [language]))


def _own_url(request: Request) -> str | None:
    """Where the client reaches this service: as set, else as the request came; None when that is no plain address."""
    settings: Settings = request.app.state.settings
    url = settings.public_url or str(request.base_url)
    return url if BASE_URL.fullmatch(url) else None


def _language(request: Request, rules: RuleSet) -> str:
    """The language that this client asks for, of those we have."""
    asked = ",".join(request.headers.getlist("accept-language"))
    return negotiate(asked, rules.adviser.languages, rules.language)


def _language_headers(languages: Sequence[str]) -> dict[str, str]:
    return {"Content-Language": ", ".join(languages), "Vary": "Accept-Language"}
