#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resources of a configuration on its card, with Yosys (pyosys from PyPI, 0.70).

  rtl/syn/synth.py CONFIG [--json FILE] [--only MODULE ...]

The overlay is synthesized in pieces that are counted by their instances: flat, the array alone would be
11,264 DSPs. A piece is a module without the modules that have a piece of their own; together they are the
whole overlay. Lanes of a requantize column are measured as the difference of two widths, the weight memory
in slices of one URAM's width.

The flow is synth_xilinx (UltraScale+), with its LUTs mapped by `abc -lut 6`: first the fewest levels, then
the fewest LUTs, counted as they are. LUT levels are the most LUTs on any path between registers, memories,
DSPs and the piece's ports; carry chains are counted as wires. Yosys neither packs two small LUTs into one nor
retimes: the vendor's tool does better, not worse. No timing is claimed.
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

URAM_WIDTH = 72
MAP = ("opt_expr -mux_undef -noclkinv", "abc -lut 6", "clean", "xilinx_srl -fixed -minlen 3",
       "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6", "xilinx_dffopt",
       "opt_lut_ins -tech xilinx", "blackbox =A:whitebox", "clean")
# Modules with a piece of their own, by the piece that contains them.
APART = {
    "mac_array": ("mac_tile", "pixel_feed", "weight_feed"),
    "lanes": ("requantize_column", "float_lane", "zero_product"),
    "activation_memory": ("rotate", "activation_bank"),
    "compute": ("mac_array", "lanes", "vector_unit"),
    "core": ("compute", "activation_memory", "weight_memory", "constant_memory"),
    "pronghorn": ("core",),
}


def pieces(c):
    """(module, parameters, instances) of what the overlay consists of."""
    oc, ic, px = c["oc"], c["ic"], c["px"]
    yield "pronghorn", {"Structural": "1'b1"}, 1
    yield "core", {"Structural": "1'b1"}, 1
    yield "compute", {"Structural": "1'b1"}, 1
    yield "vector_unit", {}, 1
    yield "mac_array", {"Structural": "1'b1"}, 1
    yield "mac_tile", {}, oc // 2 * (px // 2)
    yield "pixel_feed", {}, px // 2
    yield "weight_feed", {}, oc // 2
    yield "lanes", {}, 1
    yield "requantize_column", {"Lanes": 1}, ic
    yield "requantize_column", {"Lanes": 2}, ic
    yield "float_lane", {}, ic // 4
    yield "zero_product", {}, 1
    for m in ("m0", "m1"):
        uram = f"1'b{int(c[f'{m}_ram'] == 'uram')}"
        rows = {"Rows": c[f"{m}_rows"], "Uram": uram}
        yield "activation_memory", rows, 1
        yield "activation_bank", dict(rows, Width=8 * ic), px
    yield "rotate", {"Count": px, "Width": 8 * ic}, 2       # reads
    yield "rotate", {"Count": px, "Width": 8 * ic + 2}, 2   # writes
    yield "weight_memory", {"Width": URAM_WIDTH}, -(-8 * oc * ic // URAM_WIDTH)
    yield "constant_memory", {}, 1


def levels(module):
    """The most LUTs on a path without a register, and that path's two ends."""
    cells = module["cells"]
    names, driver, depth = {}, {}, {}
    for name, net in module["netnames"].items():
        for i, bit in enumerate(net["bits"]):
            if not net.get("hide_name"):
                names.setdefault(bit, f"{name}[{i}]")
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "output":
                driver.update((bit, name) for bit in bits)

    def through(cell):
        return cell["type"].startswith(("LUT", "CARRY", "MUXF")) or cell["type"] in ("INV", "BUF")

    def inputs(cell):
        return [bit for port, bits in cell["connections"].items()
                if cell["port_directions"].get(port) == "input" for bit in bits if isinstance(bit, int)]

    def visit(end):
        stack = [end]
        while stack:
            bit = stack[-1]
            cell = cells.get(driver.get(bit))
            if bit in depth or cell is None or not through(cell):
                depth.setdefault(bit, (0, names.get(bit, str(bit))))
                stack.pop()
                continue
            missing = [b for b in inputs(cell) if b not in depth]
            if missing:
                stack += missing
                continue
            deepest = max((depth[b] for b in inputs(cell)), default=(0, "a constant"))
            depth[bit] = (deepest[0] + cell["type"].startswith("LUT"), deepest[1])
            stack.pop()

    most = (0, "", "")
    ends = [(bit, name) for name, cell in cells.items() if not through(cell) for bit in inputs(cell)]
    ends += [(bit, name) for name, port in module["ports"].items() for bit in port["bits"] if isinstance(bit, int)]
    for bit, name in ends:
        visit(bit)
        if depth[bit][0] > most[0]:
            cell = cells.get(name)
            q = [names[b] for b in cell["connections"].get("Q", []) if b in names] if cell else [name]
            most = (*depth[bit], q[0] if q else f"{name} ({cell['type']})")
    return most


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
        apart = " ".join(f"--blackboxed-module {name}" for name in ("DSP48E2", *APART.get(module, ())))
        # The DSP's ports and parameters from the simulation's model, its cell from Yosys.
        ys.run_pass(f"read_slang -D SYNTHESIS --top {module} {generics} {apart} {package} "
                    f"{RTL / 'src' / 'pronghorn_types.sv'} {RTL / 'tb' / 'DSP48E2.sv'} {sources}", design)
        ys.run_pass("delete =DSP48E2", design)
        ys.run_pass(f"synth_xilinx -family xcup -uram -flatten -noiopad -noclkbuf -top {module} "
                    "-run begin:map_luts", design)
        for command in MAP:
            ys.run_pass(command, design)
        ys.run_pass(f"write_json {folder / 'net.json'}", design)
        netlist = json.loads((folder / "net.json").read_text())
    top = next(m for m in netlist["modules"].values() if "top" in m.get("attributes", {}))
    kinds = {}
    for cell in top["cells"].values():
        kinds[cell["type"]] = kinds.get(cell["type"], 0) + 1
    count = lambda *prefixes: sum(n for k, n in kinds.items() if k.startswith(prefixes))  # noqa: E731
    memory_luts = count("RAM32M", "RAM64M") * 4 + count("RAM64X", "RAM128X", "RAM32X") * 2
    most, begin, end = levels(top)
    return {"module": module, "parameters": parameters, "without": list(APART.get(module, ())),
            "dsp": count("DSP48E2"), "uram": count("URAM288"),
            "bram": count("RAMB36") + count("RAMB18") / 2, "lut": count("LUT") + count("SRL") + memory_luts,
            "ff": count("FD"), "carry4": count("CARRY4"), "lut_levels": most, "deepest": f"{begin} -> {end}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--json")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    document = configs.load()
    if arguments.config not in document["config"]:
        sys.exit(f"synth.py: no configuration {arguments.config}; there are {' '.join(document['config'])}")
    c = document["config"][arguments.config]
    card = document["card"][c["card"]]
    rows = []
    for module, parameters, instances in pieces(c):
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
    report = {"schema": "pronghorn-fpga-synthesis-2", "command": f"rtl/syn/synth.py {arguments.config}", "config": arguments.config,
              "card": c["card"], "tool": "pyosys 0.70, synth_xilinx -family xcup, abc -lut 6", "pieces": rows,
              "total": total, "of_card": {k: round(v / card[k], 4) for k, v in total.items()},
              "lut_levels": max(r["lut_levels"] for r in rows),
              "products_per_dsp": c["oc"] * c["ic"] * c["px"] / 2 / total["dsp"] if total["dsp"] else None}
    if arguments.json and not arguments.only:
        temporary = Path(arguments.json + ".part")
        temporary.write_text(json.dumps(report, indent=1) + "\n")
        temporary.rename(arguments.json)
    print(json.dumps({"total": total, "of_card": report["of_card"], "lut_levels": report["lut_levels"]}))


if __name__ == "__main__":
    main()
