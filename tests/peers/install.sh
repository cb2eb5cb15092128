#!/bin/sh
# Brings what the tests run against the service and pip does not have: Medplum's client and FHIR server (npm), Chromium,
# nginx and curl (Debian). Without them those tests are skipped with a reason; REQUIRE_PEERS=1 makes that a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

command -v npm >/dev/null 2>&1 || { echo "peers: no npm; install Node.js 20 or newer" >&2; exit 1; }
# Again only when the list changed.
stamp=$here/node_modules/.installed
if [ ! -f "$stamp" ] || [ "$here/package-lock.json" -nt "$stamp" ]; then
    (cd "$here" && npm ci --silent --no-audit --no-fund)
    touch "$stamp"
fi

missing=
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || { echo "peers: install$missing" >&2; exit 1; }
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
