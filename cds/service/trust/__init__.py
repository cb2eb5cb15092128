"""Client trust: who may call.

`tokens` verifies, with `file` (who is listed), `keys` (JWKS) and `replay` (used tokens).
"""
