#!/usr/bin/env bash
# run.sh [OPTIONS]: builds the bench and the node, measures, prints the table; -h lists the options.
# The servers' data goes below bench/out (BENCH_DIR names another folder), so put the checkout on the disk to measure.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bench/bin bench/out
go build -o bench/bin/bench ./bench
exec bench/bin/bench -dir "${BENCH_DIR:-bench/out}" "$@"
