#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Verilator's lint over the overlay: rtl/lint/lint.sh [CONFIG...], default all. Waivers: waivers.vlt.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- tiny small u50 u280 u250
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for config in "$@"; do
  python3 "$root/tools/configs.py" --sv "$config" "$folder/pronghorn_pkg.sv"
  for structural in 0 1; do
    verilator --lint-only -Wall --top-module pronghorn -GStructural="1'b$structural" -y "$root/src" \
      "$root/lint/waivers.vlt" "$root/tb/DSP48E2.sv" "$folder/pronghorn_pkg.sv" \
      "$root/src/pronghorn_types.sv" "$root/src/pronghorn.sv" || exit 1
  done
  echo "lint: $config: clean"
done
