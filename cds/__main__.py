"""`python -m cds` is `prenatal-cds`."""

from __future__ import annotations

import sys

from cds.cli import main

if __name__ == "__main__":
    sys.exit(main())
