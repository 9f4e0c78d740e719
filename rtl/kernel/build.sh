#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A bitstream with the vendor's tools: rtl/kernel/build.sh u250|u280|u55c OUT
# Needs Vivado and v++ (Vitis 2022.1 or newer) on PATH and the card's platform installed. OUT gets
# pronghorn.xclbin and, beside it, the manifest that the host compares with the model's configuration.
set -eu
card=${1:?u250, u280 or u55c}
out=${2:?a folder}
here=$(cd "$(dirname "$0")" && pwd)
case $card in
  u250) part=xcu250-figd2104-2L-e config=u250 platform=xilinx_u250_gen3x16_xdma_4_1_202210_1 ;;
  u280) part=xcu280-fsvh2892-2L-e config=u280 platform=xilinx_u280_gen3x16_xdma_1_202211_1 ;;
  u55c) part=xcu55c-fsvh2892-2L-e config=u280 platform=xilinx_u55c_gen3x16_xdma_3_202210_1 ;;
  *) echo "build.sh: card $card: there are u250, u280 and u55c (with the configuration of u280)" >&2; exit 2 ;;
esac
command -v v++ >/dev/null || { echo "build.sh: v++ of Vitis is not on PATH" >&2; exit 1; }
mkdir -p "$out"
vivado -mode batch -source "$here/package.tcl" -tclargs "$part" "$config" "$out"
v++ --link --target hw --platform "$platform" --config "$here/$card.cfg" --save-temps \
  --output "$out/pronghorn.xclbin.part" "$out/pronghorn.xo"
printf '{"configuration": "%s", "id": "%s", "card": "%s"}\n' "$config" \
  "$(python3 "$here/../tools/configs.py" --id "$config")" "$card" >"$out/pronghorn.xclbin.json"
mv "$out/pronghorn.xclbin.part" "$out/pronghorn.xclbin"
