#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Verilator's lint over the overlay and the Vitis kernel around it: rtl/lint/lint.sh [CONFIG...], default all.
# Waivers: waivers.vlt. The vendor's clock cells are in this folder, by their ports.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- tiny small u50 u280 u250
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# lint TOP FILE [parameters]
lint() {
  top=$1 file=$2
  shift 2
  verilator --lint-only -Wall --top-module "$top" "$@" -y "$root/src" -y "$root/lint" \
    "$root/lint/waivers.vlt" "$root/tb/DSP48E2.sv" "$folder/pronghorn_pkg.sv" \
    "$root/src/pronghorn_types.sv" "$file"
}
for config in "$@"; do
  python3 "$root/tools/configs.py" --sv "$config" "$folder/pronghorn_pkg.sv"
  lint pronghorn "$root/src/pronghorn.sv" "-GStructural=1'b0"
  lint pronghorn "$root/src/pronghorn.sv" "-GStructural=1'b1"
  # The kernel adds no logic of a configuration's own: once.
  [ "$config" != tiny ] || lint pronghorn_kernel "$root/kernel/pronghorn_kernel.sv"
  echo "lint: $config: clean"
done
