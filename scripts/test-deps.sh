#!/usr/bin/env bash
# Installs what the tests use beside Go: DCMTK's tools as devices, Orthanc as a reader and a receiver,
# PostgreSQL, Node.js clients of DICOMweb and tus; and compiles the test servers for S3 and Kafka.
# On Debian and Ubuntu as root it installs them; elsewhere it says what is missing, and the tests that
# need it skip (with CI=true they fail).
set -eu
cd "$(dirname "$0")/.."
missing=()
command -v storescu >/dev/null || missing+=(dcmtk)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
PATH=$PATH:/usr/sbin command -v Orthanc >/dev/null && [ -f /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc orthanc-dicomweb)
command -v dciodvfy >/dev/null || missing+=(dicom3tools)
[ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import pydicom, numpy' 2>/dev/null || missing+=(python3-pydicom python3-numpy)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
fc-list :lang=zh 2>/dev/null | grep -q . || missing+=(fontconfig fonts-wqy-microhei)
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
  (cd e2e/pages && npm ci --silent --no-audit --no-fund --ignore-scripts) || echo "npm ci failed: the tests of the pages need it" >&2
fi
# Compiled once here, so that no test waits for it; the go command keeps the results.
export GOFLAGS= GOWORK=off CGO_ENABLED=0
(cd internal/testengines && go build -o /dev/null github.com/versity/versitygw/cmd/versitygw && go build -o /dev/null ./compose)
(cd internal/testengines/kfake && go build -o /dev/null .)
go tool -modfile=tools/go.mod esbuild --version >/dev/null
