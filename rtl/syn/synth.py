#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resources of a configuration on its card, with Yosys (pyosys from PyPI, 0.70).

  rtl/syn/synth.py CONFIG [--json FILE] [--only MODULE ...]

Modules are synthesized one by one (synth_xilinx -family xcup) and counted by their instances: flat, the
array alone would be 11,264 DSPs. Lanes of a requantize column are measured as the difference of two
widths. LUT levels are the most LUTs on any path between registers, memories, DSPs and ports; carry chains
are counted as wires. Yosys neither packs two small LUTs into one nor retimes: the vendor's tool does
better, not worse. No timing is claimed.
"""
import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from pathlib import Path

RTL = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(RTL / "tools"))
import configs  # noqa: E402

REGISTERS = ("FDRE", "FDSE", "FDCE", "FDPE", "SRL16E", "SRLC32E")


def modules(c):
    """(module, parameters, instances) of what the core consists of."""
    oc, ic, px = c["oc"], c["ic"], c["px"]
    yield "mac_tile", {}, oc // 2 * (px // 2)
    yield "pixel_feed", {}, px // 2
    yield "weight_feed", {}, oc // 2
    yield "requantize_column", {"Lanes": 1}, ic
    yield "requantize_column", {"Lanes": 2}, ic
    yield "float_lane", {}, ic // 4
    yield "rotate", {"Count": px, "Width": 8 * ic}, 2       # reads
    yield "rotate", {"Count": px, "Width": 8 * ic + 2}, 2   # writes
    for m in ("m0", "m1"):
        yield "activation_bank", {"Rows": c[f"{m}_rows"], "Width": 8 * ic, "Uram": int(c[f"{m}_ram"] == "uram")}, px
    # The weight memory in slices of one URAM's width; whole, it takes Yosys gigabytes.
    slices = -(-8 * oc * ic // 72)
    yield "activation_bank", {"Rows": c["w_uram_words"], "Width": 72, "Uram": 1}, slices
    if c["w_bram_words"]:
        yield "activation_bank", {"Rows": c["w_bram_words"], "Width": 72, "Uram": 0}, slices
    for name in ("constant_memory", "vector_unit", "coordinates", "borders", "command_slots",
                 "sequencer", "result_sequencer", "loader", "storer", "axi_reader", "dispatch", "registers"):
        yield name, {}, 1


def levels(netlist, top):
    """The most LUTs on a path without a register, and the cells of that path."""
    cells = netlist["modules"][top]["cells"]
    driver = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "output":
                for bit in bits:
                    driver[bit] = name
    depth = {}

    def through(cell):
        kind = cell["type"]
        return kind.startswith("LUT") or kind.startswith("CARRY") or kind.startswith("MUXF") or kind in ("INV", "BUF")

    order = [(name, False) for name in cells]
    visiting = set()
    while order:
        name, done = order.pop()
        if name in depth:
            continue
        cell = cells[name]
        if not through(cell):
            depth[name] = 0
            continue
        sources = {driver[bit] for port, bits in cell["connections"].items()
                   if cell["port_directions"].get(port) == "input" for bit in bits if bit in driver}
        if done:
            own = 1 if cell["type"].startswith("LUT") else 0
            depth[name] = own + max((depth.get(s, 0) for s in sources), default=0)
        elif name not in visiting:
            visiting.add(name)
            order.append((name, True))
            order += [(s, False) for s in sources if s not in depth]
    return max(depth.values(), default=0)


def synthesize(task):
    config, module, parameters = task
    from pyosys import libyosys as ys
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        package = folder / "pronghorn_pkg.sv"
        subprocess.run([sys.executable, RTL / "tools" / "configs.py", "--sv", config, package], check=True)
        sources = " ".join(str(p) for p in sorted((RTL / "src").glob("*.sv")) if p.name != "pronghorn_types.sv")
        design = ys.Design()
        generics = " ".join(f"-G {k}={v}" for k, v in parameters.items())
        # The DSP's ports and parameters from the simulation's model, its cell from Yosys.
        ys.run_pass(f"read_slang --top {module} {generics} --blackboxed-module DSP48E2 {package} "
                    f"{RTL / 'src' / 'pronghorn_types.sv'} {RTL / 'tb' / 'DSP48E2.sv'} {sources}", design)
        ys.run_pass("delete =DSP48E2", design)
        ys.run_pass(f"synth_xilinx -family xcup -uram -flatten -noiopad -noclkbuf -top {module}", design)
        ys.run_pass("clean", design)
        ys.run_pass(f"write_json {folder / 'net.json'}", design)
        netlist = json.loads((folder / "net.json").read_text())
    top = next(n for n, m in netlist["modules"].items() if "top" in m.get("attributes", {}))
    kinds = {}
    for cell in netlist["modules"][top]["cells"].values():
        kinds[cell["type"]] = kinds.get(cell["type"], 0) + 1
    count = lambda *prefixes: sum(n for k, n in kinds.items() if k.startswith(prefixes))  # noqa: E731
    memory_luts = count("RAM32M", "RAM64M") * 4 + count("RAM64X", "RAM128X", "RAM32X") * 2
    return {"module": module, "parameters": parameters, "dsp": count("DSP48E2"), "uram": count("URAM288"),
            "bram": count("RAMB36") + count("RAMB18") / 2, "lut": count("LUT") + count("SRL") + memory_luts,
            "ff": count("FD"), "carry4": count("CARRY4"), "lut_levels": levels(netlist, top)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--json")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    document = configs.load()
    c = document["config"][arguments.config]
    card = document["card"][c["card"]]
    rows = []
    for module, parameters, instances in modules(c):
        if arguments.only and module not in arguments.only:
            continue
        # A process each: Yosys keeps what it has read.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.map(synthesize, [(arguments.config, module, parameters)])[0]
        row["instances"] = instances
        rows.append(row)
        print(json.dumps(row), flush=True)
    total = {}
    for kind in ("dsp", "uram", "bram", "lut", "ff"):
        one = {r["parameters"]["Lanes"]: r for r in rows if r["module"] == "requantize_column"}
        total[kind] = sum(r[kind] * r["instances"] for r in rows if r["module"] != "requantize_column")
        if len(one) == 2:
            lane = one[2][kind] - one[1][kind]
            total[kind] += c["ic"] * (one[1][kind] + (c["px"] - 1) * lane)
    report = {"schema": 1, "command": f"rtl/syn/synth.py {arguments.config}", "config": arguments.config,
              "card": c["card"], "tool": "pyosys 0.70, synth_xilinx -family xcup", "modules": rows, "total": total,
              "of_card": {k: round(v / card[k], 4) for k, v in total.items()},
              "products_per_dsp": c["oc"] * c["ic"] * c["px"] / 2 / total["dsp"] if total["dsp"] else None}
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({"total": total, "of_card": report["of_card"]}))


if __name__ == "__main__":
    main()
