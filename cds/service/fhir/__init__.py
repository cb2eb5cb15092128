"""FHIR access: `access` fetches what prefetch lacks, within `scopes` and over a guarded `network`."""
