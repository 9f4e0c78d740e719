#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resources and logic depth of a configuration on its card, with Yosys (pyosys from PyPI, 0.70).

  rtl/syn/synth.py CONFIG [--json FILE] [--cache FOLDER] [--jobs N] [--only MODULE ...] [--deep N]

The overlay is synthesized in pieces: from the top down, a piece is a module without the modules inside it that
are pieces themselves (PIECES), once for each set of parameters, counted by the instances that the netlists around
it hold. Together they are the whole overlay; nothing is optimised across a piece's ports, so the sum is no less than
what flat synthesis gives. Pieces that repeat one slice are measured by two widths and extended linearly (SLICES).

The flow is synth_xilinx (UltraScale+), with its LUTs mapped by `abc -lut 6`: first the fewest levels, then
the fewest LUTs, counted as they are. LUT levels (netlist.py) are the most LUTs on any path between registers,
memories, DSPs and the overlay's ports, through the ports of pieces. Yosys neither packs two small LUTs into one
nor retimes: the vendor's tool does better, not worse. No timing is claimed.

--cache keeps what a piece gave, by its sources: a run that was stopped goes on, one after a change repeats what changed.
--deep prints every path of more than N levels.
"""
import argparse
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RTL = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(RTL / "tools"), str(RTL / "syn")]
import configs  # noqa: E402
import netlist  # noqa: E402

MAP = ("opt_expr -mux_undef -noclkinv", "abc -lut 6", "clean", "xilinx_srl -fixed -minlen 3",
       "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6", "xilinx_dffopt",
       "opt_lut_ins -tech xilinx", "blackbox =A:whitebox", "clean")
TOP = ("pronghorn", (("Structural", 1),))
PIECES = ("registers", "core", "axi_reader", "dispatch", "loader", "image_spreader", "storer", "compute",
          "command_slots", "coordinates", "sequencer", "borders", "result_sequencer", "planes_walker", "mac_array",
          "mac_tile", "pixel_feed", "weight_feed", "vector_unit", "lanes", "requantize_column", "float_lane",
          "zero_product", "activation_memory", "rotate", "activation_bank", "weight_memory", "constant_memory")
# module -> (parameter, the two widths): each is a part of its own and so many slices that are alike.
SLICES = {"requantize_column": ("Lanes", 1, 2), "rotate": ("Width", 8, 16), "weight_memory": ("Width", 72, 144),
          "vector_unit": ("Channels", 2, 4)}
KINDS = ("dsp", "uram", "bram", "lut", "ff", "carry4")


def source(module):
    return RTL / "src" / f"{module}.sv"


def with_headers(path):
    """A file's bytes and those of what it includes."""
    text = path.read_bytes()
    headers = re.findall(rb'`include "(\w+\.svh)"', text)
    return text + b"".join(with_headers(RTL / "src" / name.decode()) for name in headers)


def closure(module, inside=()):
    """A module and those it instantiates, but for pieces."""
    text = source(module).read_text()
    found = {module}
    for path in (RTL / "src").glob("*.sv"):
        name = path.stem
        if name != module and name not in PIECES and name not in inside and re.search(rf"\b{name}\b", text):
            found |= closure(name, (*inside, *found))
    return found


def declared(module):
    """Parameters of a module."""
    head = source(module).read_text().split(") (")[0]
    return set(re.findall(r"\bparameter\b[^=,]*?\b(\w+)\s*=", head))


def synthesize(package_text, module, parameters, result):
    """Writes (seconds, ports, cells, names) of a piece to `result`, what Yosys says beside it."""
    log = os.open(f"{result}.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from pyosys import libyosys as ys
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        package = folder / "pronghorn_pkg.sv"
        package.write_text(package_text)
        sources = " ".join(str(p) for p in sorted((RTL / "src").glob("*.sv")) if p.name != "pronghorn_types.sv")
        design = ys.Design()
        generics = " ".join(f"-G {k}={v}" for k, v in parameters)
        apart = " ".join(f"--blackboxed-module {name}" for name in ("DSP48E2", *PIECES) if name != module)
        run = lambda text: ys.run_pass(f"tee -q -o {folder / 'log'} {text}", design)  # noqa: E731
        # The DSP's ports and parameters from the simulation's model, its cell from Yosys.
        run(f"read_slang -I {RTL / 'src'} -D SYNTHESIS --top {module} {generics} {apart} {package} "
            f"{RTL / 'src' / 'pronghorn_types.sv'} {RTL / 'tb' / 'DSP48E2.sv'} {sources}")
        run("delete =DSP48E2")
        run(f"synth_xilinx -family xcup -uram -flatten -noiopad -noclkbuf -top {module} -run begin:map_luts")
        for command in MAP:
            run(command)
        run(f"write_json {folder / 'net.json'}")
        ports, cells, names = netlist.read(json.loads((folder / "net.json").read_text()))
    Path(result).write_bytes(pickle.dumps((time.monotonic() - begin, ports, cells, names)))


class Synthesis:
    """Pieces by (module, parameters), synthesized as they are found, a few processes at a time."""

    def __init__(self, config, cache, jobs):
        self.package = configs.sv(configs.load(), config)
        self.cache = Path(cache) if cache else None
        self.jobs = jobs
        self.results = {}

    def key(self, piece):
        module, parameters = piece
        digest = hashlib.sha256(repr((MAP, PIECES, self.package, module, parameters)).encode())
        for name in sorted(closure(module) | {"pronghorn_types"}):
            digest.update(with_headers(source(name)))
        return digest.hexdigest()[:24]

    def measured(self, piece):
        """The pieces that have to be synthesized for one."""
        module, parameters = piece
        if module not in SLICES or SLICES[module][0] not in dict(parameters):
            return [piece]
        name, *widths = SLICES[module]
        return [(module, tuple(sorted({**dict(parameters), name: w}.items()))) for w in widths]

    def children(self, cells):
        found = {}
        for index, (kind, parameters, *_) in enumerate(cells):
            if kind in PIECES:
                own = {k: int(v, 2) for k, v in parameters.items() if k in declared(kind)}
                found[index] = (kind, tuple(sorted(own.items())))
        return found

    def run(self, first):
        """Synthesizes `first` and all that is inside."""
        known, waiting, running = set(first), [], {}
        for piece in first:
            waiting += self.measured(piece)

        def found(one):
            new = set(self.children(self.results[one][2]).values()) - known
            known.update(new)
            for piece in sorted(new):
                waiting.extend(o for o in self.measured(piece) if o not in (*self.results, *running, *waiting))

        with tempfile.TemporaryDirectory() as folder:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    one = waiting.pop(0)
                    kept = self.cache / f"{self.key(one)}.pickle" if self.cache else None
                    if kept and kept.exists():
                        self.results[one] = pickle.loads(kept.read_bytes())
                        found(one)
                        continue
                    # A process each: Yosys keeps what it has read.
                    result = Path(folder) / self.key(one)
                    process = multiprocessing.get_context("spawn").Process(
                        target=synthesize, args=(self.package, *one, result))
                    process.start()
                    running[one] = process, result, kept
                multiprocessing.connection.wait([process.sentinel for process, *_ in running.values()], 1)
                for one, (process, result, kept) in list(running.items()):
                    if process.exitcode is None:
                        continue
                    del running[one]
                    if process.exitcode != 0:
                        for other, *_ in running.values():
                            other.terminate()
                        sys.exit(Path(f"{result}.log").read_text()[-2000:] + f"\nsynth.py: {one[0]} failed")
                    self.results[one] = pickle.loads(result.read_bytes())
                    print(f"synth.py: {one[0]} {dict(one[1])}: {self.results[one][0]:.0f} s", file=sys.stderr, flush=True)
                    if kept:
                        self.cache.mkdir(parents=True, exist_ok=True)
                        part = kept.with_suffix(".part")
                        part.write_bytes(result.read_bytes())
                        part.rename(kept)
                    found(one)

    def cost(self, piece):
        """Resources of a piece without those inside it."""
        parts = [netlist.resources(self.results[one][2]) for one in self.measured(piece)]
        if len(parts) == 1:
            return parts[0]
        name, low, high = SLICES[piece[0]]
        width = dict(piece[1])[name]
        slices = -(-(width - low) // (high - low))
        return {k: parts[0][k] + (parts[1][k] - parts[0][k]) * slices for k in KINDS}

    def instances(self, top):
        """piece -> how many there are in the overlay."""
        counts = {}

        def visit(piece, times):
            counts[piece] = counts.get(piece, 0) + times
            inside = {}
            for child in self.children(self.results[self.measured(piece)[-1]][2]).values():
                inside[child] = inside.get(child, 0) + 1
            for child, n in inside.items():
                visit(child, n * times)

        visit(top, 1)
        return counts

    def summary(self, piece, known):
        """Timing of a piece, with those inside it."""
        if piece not in known:
            _, ports, cells, names = self.results[self.measured(piece)[-1]]
            inside = {i: self.summary(child, known) for i, child in self.children(cells).items()}
            known[piece] = netlist.timing(ports, cells, names, inside)
        return known[piece]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--json")
    parser.add_argument("--cache")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--deep", type=int)
    arguments = parser.parse_args()
    document = configs.load()
    if arguments.config not in document["config"]:
        sys.exit(f"synth.py: no configuration {arguments.config}; there are {' '.join(document['config'])}")
    unknown = [name for name in arguments.only or () if name not in PIECES]
    if unknown:
        sys.exit(f"synth.py: no piece {' '.join(unknown)}; there are pronghorn {' '.join(PIECES)}")
    c = document["config"][arguments.config]
    card = document["card"][c["card"]]
    synthesis = Synthesis(arguments.config, arguments.cache, arguments.jobs)
    tops = [(name, ()) for name in arguments.only] if arguments.only else [TOP]
    synthesis.run(tops)
    counts, timing = {}, {}
    for top in tops:
        for piece, n in synthesis.instances(top).items():
            counts[piece] = counts.get(piece, 0) + n
        synthesis.summary(top, timing)
    rows, total = [], dict.fromkeys(KINDS, 0)
    for piece, n in counts.items():
        cost = synthesis.cost(piece)
        for kind in KINDS:
            total[kind] += n * cost[kind]
        longest = timing[piece]["longest"]
        row = {"module": piece[0], "parameters": dict(piece[1]), "instances": n, **cost,
               "lut_levels": longest[0][0] if longest else 0,
               "deepest": " -> ".join(longest[0][1:]) if longest else ""}
        if piece[0] in SLICES:
            name, *widths = SLICES[piece[0]]
            row["from"] = f"{name} {widths[0]} and {widths[1]}"
        rows.append(row)
        for levels, begin, end in longest:
            if arguments.deep is not None and levels > arguments.deep:
                print(f"{levels} {piece[0]}: {begin} -> {end}")
    rows.sort(key=lambda r: -r["lut"] * r["instances"])
    of_card = {k: round(total[k] / card[k], 4) for k in ("dsp", "uram", "bram", "lut", "ff")}
    report = {"schema": "pronghorn-fpga-synthesis-3", "command": f"rtl/syn/synth.py {arguments.config}",
              "config": arguments.config, "card": c["card"], "tool": "pyosys 0.70, synth_xilinx -family xcup, abc -lut 6",
              "total": total, "of_card": of_card, "lut_levels": max(r["lut_levels"] for r in rows),
              "products_per_dsp": c["oc"] * c["ic"] * c["px"] / 2 / total["dsp"] if total["dsp"] else None,
              "seconds": round(sum(r[0] for r in synthesis.results.values())), "pieces": rows}
    if arguments.json and not arguments.only:
        temporary = Path(arguments.json + ".part")
        temporary.write_text(json.dumps(report, indent=1) + "\n")
        temporary.rename(arguments.json)
    print(json.dumps({k: report[k] for k in ("total", "of_card", "lut_levels", "products_per_dsp")}))


if __name__ == "__main__":
    main()
