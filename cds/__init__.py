"""Clinical decision support for leg cramps, calcium and vitamin D in pregnancy."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("prenatal-cds")
except PackageNotFoundError:  # a checkout on the path that nobody installed
    __version__ = "0.0.0+not-installed"
