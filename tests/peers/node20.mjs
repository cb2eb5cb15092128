// Node.js 20 has no WebSocket, and Medplum's client names it when it is loaded; nothing here opens one.
// Import this before @medplum/core and @medplum/fhir-router.
globalThis.WebSocket ??= class {};
