#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures briefly, then drives the report's page in headless Chromium:  tests/page/run.sh BUILD
# Screenshots go to BUILD/page.
set -eu
cd "$(dirname "$0")/../.."
build=$1
tools/setup.sh tools/packages-page.txt
venv=$build/page-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check playwright==1.65.2
mkdir -p "$build/page"
"$build/pronghorn" bench --batch 1,4,8 --seconds 0.5 --scenario singlestream,offline \
  --concurrency 1,2 --rate-sweep --thread-scaling 1 --device-scaling --sustained 10 \
  --cold-start 2 --price 0.42/h \
  --json "$build/page/bench.json" >/dev/null
"$build/pronghorn" report "$build/page/bench.json" "$build/page/bench.json" \
  --html "$build/page/compared.html" >/dev/null
# A run with peers takes minutes, so a stored one (of a busy machine: no figures to cite).
"$build/pronghorn" report tests/page/peers.json --html "$build/page/peers.html" >/dev/null
"$build/pronghorn" report bench/results/gpu-h200-inaccel-2020.json --html "$build/page/card.html" >/dev/null
"$build/pronghorn" report bench/results/gpu-h200-peers.json --html "$build/page/card-peers.html" >/dev/null
for page in bench compared peers card card-peers; do
  "$venv/bin/python" tests/page/page_test.py "$build/page/$page.html" "$build/page/$page"
done
