#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program with the RTL inside: quantizes a small network, runs images through `bench --port verilator` and
compares what it reports with what it counts.

  rtl/tools/program_check.py PRONGHORN CONFIG MODEL IMAGES

PRONGHORN is built with -DPRONGHORN_RTL_SIMULATOR=CONFIG. The program itself compares the bytes with the reference
device. Ends with 1 if the RTL's cycles are not those of the model within 1 %.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    program, config, model, images = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        small, report = Path(folder) / "small.onnx", Path(folder) / "bench.json"
        subprocess.run([program, "quantize", model, "--preprocess", "torch", "--calibration", images, "-o", small],
                       check=True)
        bench = [program, "bench", "--device", f"fpga::{config}", "-m", small, "--json", report, "--no-report"]
        shown = subprocess.run([*bench, "--port", "verilator"], check=True, capture_output=True, text=True).stdout
        print(shown)
        document = json.loads(report.read_text())
    if "verified: the same bytes as device reference" not in shown or document["verified_images"] < 1:
        sys.exit("program_check.py: no image was compared with the reference")
    if document["port"] != "verilator" or document["configuration"] != config:
        sys.exit(f"program_check.py: port {document['port']}, configuration {document['configuration']}")
    ran = [b for b in document["batches"] if "rtl_cycles" in b]
    if not ran:
        sys.exit("program_check.py: the RTL counted no cycles")
    for b in ran:
        # The fetch of the program over AXI is not the network's: a word every cycle and the memory's latency.
        difference = b["rtl_cycles"] - b["cycles"]
        print(f"batch {b['batch']}: RTL {b['rtl_cycles']} cycles, model {b['cycles']}")
        if abs(difference) > max(0.01 * b["cycles"], 120):
            sys.exit("program_check.py: the RTL's cycles are not the model's")


if __name__ == "__main__":
    main()
