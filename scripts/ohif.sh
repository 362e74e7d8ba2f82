#!/usr/bin/env bash
# ohif.sh fetch: unpacks the published OHIF build below .cache/ohif and prints its dist folder.
# ohif.sh run [OPTIONS of the acceptance run]: serves it by ./tributary, with synthetic studies in a node of its own, and
# opens every study in headless Chromium. 7 minutes or more, 50 MB of download the first time. Report in .cache/ohif/out.
# The acceptance run itself lies beside the checkout, in ../shared/ohif (TRIBUTARY_SHARED names another folder for shared).
set -euo pipefail
cd "$(dirname "$0")/.."
version=${OHIF_VERSION:-3.13.2}
cache=$PWD/.cache/ohif
dist=$cache/app-$version/dist

fetch() {
  [ -f "$dist/index.html" ] && return
  command -v npm >/dev/null || { echo "npm is missing: it fetches @ohif/app" >&2; exit 2; }
  local tmp=$cache/app-$version.part
  rm -rf "$tmp" && mkdir -p "$tmp"
  local tgz
  tgz=$(npm pack "@ohif/app@$version" --silent --pack-destination "$tmp" | tail -n 1)
  tar xzf "$tmp/$tgz" -C "$tmp" --strip-components=1
  rm "$tmp/$tgz"
  rm -rf "${dist%/dist}" && mv "$tmp" "${dist%/dist}"
}

case ${1:-} in
fetch)
  fetch
  echo "$dist"
  exit ;;
run) shift ;;
*)
  sed -n '2,5s/^# //p' "$0"
  exit 2 ;;
esac

acceptance=$(cd "${TRIBUTARY_SHARED:-../shared}/ohif" 2>/dev/null && pwd) || acceptance=
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
missing=()
[ -f "$acceptance/ohif-acceptance.mjs" ] || missing+=("the acceptance run: ../shared/ohif/ohif-acceptance.mjs, or TRIBUTARY_SHARED=DIR")
[ -n "$chromium" ] || missing+=("Chromium: apt-get install chromium, or CHROMIUM=PATH")
command -v node >/dev/null || missing+=("Node.js 20: apt-get install nodejs npm")
/usr/bin/python3 -c 'import pydicom, numpy, PIL' 2>/dev/null || missing+=("apt-get install python3-pydicom python3-numpy python3-pil")
for tool in dcmcjpeg gdcmconv ffmpeg; do
  command -v $tool >/dev/null || missing+=("$tool: apt-get install dcmtk libgdcm-tools ffmpeg")
done
[ -x ./tributary ] || missing+=("./tributary: make build")
if [ ${#missing[@]} -gt 0 ]; then
  printf 'not run, this is missing:\n' >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 2
fi

fetch
mkdir -p "$cache/run" "$cache/out"
cp -f "$acceptance"/{ohif-acceptance.mjs,gen_samples.py,package.json} "$cache/run/"
chmod -R u+w "$cache/run"
(cd "$cache/run" && npm install --silent --no-audit --no-fund)
/usr/bin/python3 "$cache/run/gen_samples.py" "$cache/samples" >/dev/null

data=$(mktemp -d)
./tributary serve --data "$data" --http 127.0.0.1:0 --dicom 127.0.0.1:0 --ohif-dir "$dist" >"$data/doors" 2>"$cache/out/node.log" &
node_pid=$!
trap 'kill $node_pid 2>/dev/null; wait $node_pid 2>/dev/null; rm -rf "$data"' EXIT
viewer=
for _ in $(seq 100); do
  viewer=$(sed -n 's/^ *viewer *//p' "$data/doors")
  [ -n "$viewer" ] && break
  kill -0 $node_pid 2>/dev/null || { cat "$cache/out/node.log" >&2; exit 1; }
  sleep 0.1
done
[ -n "$viewer" ] || { echo "the node did not tell where its viewer is" >&2; exit 1; }
origin=${viewer%/ohif/}
./tributary send --to "$origin" -q "$cache/samples"
# OHIF has no path for H.264 under a US SOP class: it asks for its frames and shows none, of any server.
(cd "$cache/run" && node ohif-acceptance.mjs --dicomweb "$origin/dicom-web" --direct "$viewer" --chromium "$chromium" \
  --out "$cache/out" --strict --allow 'US H264' "$@")
