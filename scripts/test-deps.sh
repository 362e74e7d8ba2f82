#!/usr/bin/env bash
# Installs what the tests use beside Go: DCMTK's tools as devices, Node.js clients of DICOMweb and tus.
# On Debian and Ubuntu as root it installs them; elsewhere it says what is missing, and the tests that
# need it skip (with CI=true they fail).
set -eu
cd "$(dirname "$0")/.."
missing=()
command -v storescu >/dev/null || missing+=(dcmtk)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "not installed: ${missing[*]} (install them to run every test)" >&2
  fi
fi
if command -v npm >/dev/null; then
  (cd e2e/clients && npm ci --silent --no-audit --no-fund) || echo "npm ci failed: the tests with Node.js clients need it" >&2
fi
