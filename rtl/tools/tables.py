#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/fpga.md that come from stored results.

  rtl/tools/tables.py [--check]

layers: bench/results/fpga-rtl-u250.json (whole images through the RTL) and fpga-u250-modelled.json (products of each
layer). resources: fpga-synthesis-*.json. --check writes nothing and ends with 1 if the page does not show them.
"""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "fpga.md"
RESULTS = ROOT / "bench" / "results"


def short(node):
    """layer3.2 conv1 of /layer3/layer3.2/conv1/Conv."""
    parts = [p for p in node.split("/")[1:-1] if not re.fullmatch(r"layer\d|downsample", p)]
    return " ".join(parts).replace("downsample.0", "downsample") or node


def rows():
    rtl = json.loads((RESULTS / "fpga-rtl-u250.json").read_text())
    modelled = json.loads((RESULTS / "fpga-u250-modelled.json").read_text())
    one = next(b for b in modelled["batches"] if b["batch"] == 1)
    products = {layer["node"]: layer["mmac"] for layer in one["layers"]}
    # Commands of one node; then nodes of one stage that are alike.
    nodes = {}
    for layer in rtl["layers"]:
        entry = nodes.setdefault(layer["node"], [0, 0])
        entry[0] += layer["rtl_cycles"]
        entry[1] += layer["model_cycles"]
    alike = {}
    for node, (cycles, model) in nodes.items():
        name = short(node)
        stage = re.sub(r"(layer\d)\.\d+", r"\1", name)
        alike.setdefault((stage, cycles, model, products[node]), []).append(name)
    whole = rtl["images"][0]
    for (stage, cycles, model, mmac), names in alike.items():
        busy = mmac * 1e6 / (cycles * modelled["products_per_cycle"])
        blocks = [name.split()[0].split(".")[1] for name in names if "." in name.split()[0]]
        where = f"{stage} (block{'s' if len(blocks) > 1 else ''} {', '.join(blocks)})" if blocks else stage
        yield where, len(names), mmac, cycles, model, busy if mmac else None
    yield "start to done", 1, sum(products.values()), whole["rtl_cycles"], whole["model_cycles"], whole["utilisation"]


def layers():
    lines = ["| layer | times | MMAC | cycles, RTL | cycles, model | multipliers busy |", "|---|---|---|---|---|---|"]
    for where, times, mmac, cycles, model, busy in rows():
        shown = "-" if busy is None else f"{100 * busy:.1f} %"
        lines.append(f"| {where} | {times} | {mmac:.1f} | {cycles:,} | {model:,} | {shown} |")
    return "\n".join(lines) + "\n"


def resources():
    lines = ["| configuration (card) | DSP48E2 | URAM288 | BRAM36 | LUT | FF | LUT levels |", "|---|---|---|---|---|---|---|"]
    for path in sorted(RESULTS.glob("fpga-synthesis-*.json")):
        report = json.loads(path.read_text())
        shown = [f"{report['total'][k]:,.10g} ({100 * report['of_card'][k]:.1f} %)" for k in ("dsp", "uram", "bram", "lut", "ff")]
        name = f"[{report['config']}](../bench/results/{path.name}) ({report['card']})"
        lines.append(f"| {name} | {' | '.join(shown)} | {report['lut_levels']} |")
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    text = new = PAGE.read_text()
    for name, table in (("layers", layers), ("resources", resources)):
        begin, end = f"<!-- {name}: rtl/tools/tables.py -->\n", f"<!-- /{name} -->\n"
        head, _, rest = new.partition(begin)
        _, mark, tail = rest.partition(end)
        if not mark:
            sys.exit(f"tables.py: {PAGE.name} has no {begin.strip()} ... {end.strip()}")
        new = head + begin + table() + end + tail
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if new == text else "tables.py: docs/fpga.md does not show the stored results; run it")
    PAGE.write_text(new)


if __name__ == "__main__":
    main()
