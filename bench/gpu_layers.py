# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/cuda_layers.md: each layer's time on a GPU against its floors.

Reads what `cuda_bench` wrote (tools/gpu_bench.sh): `steps`, each launch timed alone in a batch of
`steps_batch`. The compute floor is the layer's multiply-adds at the matrix units' rate, the memory
floor its activations and weights once through memory; of layers that are one launch, what stays
inside is not counted. Tables stand between <!-- layers PRECISION FILE:begin --> and ...:end -->.

    python3 bench/gpu_layers.py            rewrite docs/cuda_layers.md
    python3 bench/gpu_layers.py --check    exit 1 when the page does not show these results
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cuda_layers.md"
MARK = re.compile(r"(<!-- layers (\S+) (\S+):begin -->\n).*?(<!-- layers:end -->)", re.S)
# Of one H200: dense tera multiply-adds a second by the datasheet (two operations each), and what a
# copy from its memory to its memory reached, read and write counted.
TERA_MACS = {"int8": 1979 / 2, "fp16": 989.5 / 2}
TERABYTES = 4.3
ROLES = {"conv1": "1 x 1 down", "conv2": "3 x 3", "conv3": "1 x 1 up",
         "downsample": "1 x 1 shortcut"}


def name_of(node):
    """A ResNet's layer by its place; repeated blocks of a stage share a name."""
    found = re.match(r"/layer(\d)/layer\d\.(\d+)/(conv\d|downsample)", node)
    if not found:
        return node.strip("/").split("/")[0]
    stage, block, role = found.groups()
    return f"stage {stage}, block {'1' if block == '0' else '2+'}, {ROLES[role]}"


def rows_of(steps):
    """(name, kernel, us, gmac, megabytes) of each launch, in order."""
    rows = []
    for i, step in enumerate(steps):
        name, mega = name_of(step["node"]), step["megabytes"]
        if step["kernel"] == "with the one before":
            before = rows[-1]
            inside = steps[i - 1]["written_megabytes"]
            # A pool reads a result that is never stored; a convolution one that others need too.
            saved = inside if step["gmac"] else 2 * inside
            rows[-1] = (f"{before[0]} and {name}", "one launch", before[2] + step["us"],
                        before[3] + step["gmac"], before[4] + mega - saved)
        else:
            rows.append((name, step["kernel"], step["us"], step["gmac"], mega))
    return rows


def table(report, precision):
    if report["precision"] != precision:
        sys.exit(f"{report['precision']} where the page says {precision}")
    grouped = {}
    for name, kernel, us, gmac, mega in rows_of(report["steps"]):
        grouped.setdefault((name, kernel, round(gmac, 3), round(mega, 1)), []).append((us, gmac, mega))
    lines = ["| layer | launches | kernel | us | compute floor | memory floor | of the floor |",
             "|---|---:|---|---:|---:|---:|---:|"]
    totals = [0, 0.0, 0.0, 0.0, 0.0]
    for (name, kernel, _, _), same in grouped.items():
        us = sum(row[0] for row in same) / len(same)
        compute = same[0][1] / TERA_MACS[precision] * 1e3
        memory = same[0][2] / TERABYTES
        lines.append(f"| {name} | {len(same)} | {kernel} | {us:.1f} | {compute:.1f} | {memory:.1f} | "
                     f"{100 * max(compute, memory) / us:.0f} % |")
        for i, value in enumerate((1, us, compute, memory, max(compute, memory))):
            totals[i] += value * len(same)
    lines.append(f"| all | {totals[0]} | | {totals[1]:.0f} | {totals[2]:.0f} | {totals[3]:.0f} | "
                 f"{100 * totals[4] / totals[1]:.0f} % |")
    return "\n".join(lines) + "\n"


def main():
    text = PAGE.read_text()
    made = MARK.sub(lambda m: m[1] + table(json.loads((ROOT / m[3]).read_text()), m[2]) + m[4], text)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if made == text else "docs/cuda_layers.md: the tables are not those of "
                                        "bench/results; run make results")
    if made != text:
        PAGE.write_text(made)


if __name__ == "__main__":
    main()
