"""`python -m cds` is `prenatal-cds`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of the process; an interrupt while it is still being loaded prints no traceback either."""
    try:
        from cds.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
