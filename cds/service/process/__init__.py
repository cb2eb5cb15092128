"""Processes: `server` ends in order, `workers` are several of them, `reload` replaces the rules from a `snapshot`."""
