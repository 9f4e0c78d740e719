#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole images through a Verilated overlay, in several processes, and one JSON of them all.

  rtl/tools/images.py NETWORK_TB MODEL IMAGES PROCESSES OUT.json

NETWORK_TB is a built rtl_network_CONFIG (-DPRONGHORN_RTL_FULL=ON for u250). Process n has the seed n and runs
IMAGES / PROCESSES images, after loading the weights once. Ends
with 1 if any image differs from the reference device or any layer's cycles from the model's.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    if len(sys.argv) != 6 or not sys.argv[3].isdigit() or not sys.argv[4].isdigit():
        sys.exit(__doc__)
    bench, model, count, processes, out = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
    if processes == 0 or count == 0 or count % processes != 0:
        sys.exit(f"images.py: {count} images do not divide into {processes} processes")
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / f"{n}.json" for n in range(1, processes + 1)]
        runs = [subprocess.Popen([bench, "model", model, str(count // processes), str(part)],
                                 env=dict(os.environ, PRONGHORN_SEED=str(n)))
                for n, part in enumerate(parts, 1)]
        failed = [n for n, run in enumerate(runs, 1) if run.wait() != 0]
        documents = [json.loads(part.read_text()) for part in parts if part.exists()]
    if not documents:
        sys.exit("images.py: no image ran to its end")
    merged = documents[0]
    layers = merged.pop("layers")
    merged["command"] = f"rtl/tools/images.py rtl_network_{merged['configuration']} {merged['model']} {count} {processes} {out.name}"
    merged["images"] = [dict(seed=n, **image) for n, d in enumerate(documents, 1) for image in d["images"]]
    merged["layers"] = layers
    temporary = out.with_suffix(".part")
    temporary.write_text(json.dumps(merged, indent=1) + "\n")
    temporary.rename(out)
    if failed:
        sys.exit(f"images.py: processes {failed} failed")


if __name__ == "__main__":
    main()
