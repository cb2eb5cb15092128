#!/bin/sh
# Makes a virtual environment from one of the hash-pinned lists beside this file and installs prenatal-cds into it.
#
#   requirements/install.sh VENV dev|runtime [PYTHON]
#
# dev      everything, and the checkout itself (editable): what `make install` does
# runtime  what the service needs, and a built copy of the project with its rules: what the Dockerfile does
#
# Without PYTHON: the first of python3.13, python3.12, python3.11, python3 that runs and is in range.
# Whatever is wrong with the machine is said in one line before anything is made.
set -eu

venv=$1 list=$2 wanted=${3:-}
supported="Python 3.11, 3.12 or 3.13"
here=$(cd "$(dirname "$0")" && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONNOUSERSITE=1
unset PYTHONPATH PYTHONHOME PIP_REQUIRE_HASHES PIP_CONSTRAINT PIP_TARGET PIP_PREFIX PIP_USER || true

fail() {
    echo "prenatal-cds: $1" >&2
    exit 1
}

# Printed by running it: a pyenv shim exists for versions that are not switched on, and fails only when run.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null || true
}

in_range() {
    case $1 in 3.11 | 3.12 | 3.13) return 0 ;; *) return 1 ;; esac
}

if [ -n "$wanted" ]; then
    python=$wanted version=$(version_of "$wanted")
    [ -n "$version" ] || fail "PYTHON=$wanted does not run; name $supported, for example: make PYTHON=python3.12 install"
    in_range "$version" || fail "PYTHON=$wanted is Python $version; name $supported"
else
    python=
    for candidate in python3.13 python3.12 python3.11 python3; do
        version=$(version_of "$candidate")
        if in_range "$version"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "no $supported found; install one, or name it: make PYTHON=/path/to/python3.12 install"
fi

"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments; install its venv package (Debian, Ubuntu: python$version-venv)"

# durable_rules has no wheels: every machine compiles it.
compiler=${CC:-$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")')}
command -v "${compiler%% *}" >/dev/null 2>&1 ||
    fail "no C compiler (${compiler%% *}), which durable_rules needs; install one (Debian, Ubuntu: gcc libc6-dev; macOS: xcode-select --install) or name yours: CC=clang make install"
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] ||
    fail "no C headers for $python, which durable_rules needs; install them (Debian, Ubuntu: python$version-dev)"
printf '#include <Python.h>\n#include <stdlib.h>\nint main(void) { return 0; }\n' |
    $compiler -I"$headers" -x c -fsyntax-only - >/dev/null 2>&1 ||
    fail "the C compiler (${compiler%% *}) cannot compile against $headers/Python.h; install the C library headers (Debian, Ubuntu: libc6-dev)"

# Twice quiet: errors only. An index named in somebody's pip configuration is worth no page of warnings.
pip() {
    "$venv/bin/python" -m pip --quiet --quiet "$@"
}

if [ -d "$venv" ] && [ -n "$(ls -A "$venv")" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
    fail "$venv exists and is no virtual environment; remove it, or name another folder: make VENV=.venv-other install"
fi
if [ "$(version_of "$venv/bin/python")" != "$version" ] || ! pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv"
fi

# 3.13 dropped a function that durable_rules 2.0.28 calls; its setup.py overwrites CFLAGS but leaves CPPFLAGS alone.
if [ "$version" = 3.13 ]; then
    CPPFLAGS="${CPPFLAGS:-} -DPyEval_CallObject=PyObject_CallObject"
    export CPPFLAGS
fi

echo "prenatal-cds: installing requirements/$list.txt into $venv (Python $version)"
pip install --require-hashes --only-binary :all: -r "$here/build.txt"
# No cache: a durable_rules wheel that some earlier build left there may lack the line above.
pip install --require-hashes --only-binary :all: --no-binary durable_rules --no-build-isolation --no-cache-dir \
    -r "$here/$list.txt"
if [ "$list" = dev ]; then
    pip install --no-deps --no-build-isolation --no-index --editable "$here/.."
else
    pip install --no-deps --no-build-isolation --no-index --no-cache-dir --force-reinstall "$here/.."
fi
conflicts=$("$venv/bin/python" -m pip check) || fail "the installed libraries do not fit together: $conflicts"
"$venv/bin/python" -c 'import durable_rules_engine' ||
    fail "durable_rules was built but does not load; remove $venv and run this again"
