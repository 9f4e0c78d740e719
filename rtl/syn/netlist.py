# SPDX-License-Identifier: Apache-2.0
"""Reads a synthesized piece (Yosys's JSON): its cells, and the LUT levels of its paths.

A piece's paths begin and end in registers, memories, DSPs, its ports and the pieces inside it. What it says
of its ports lets the piece around it follow a path through both: `arrival` (levels from a register to an
output port), `require` (from an input port to a register) and `through` (from an input to an output port).
LUTs and the address of a LUT memory count one level, carry chains none.
"""
NEVER = -(10 ** 6)


def read(document):
    """The top module of Yosys's document as (ports, cells, names): cells are (type, parameters, inputs, outputs),
    inputs and outputs port -> bits, constants left out."""
    top = next(m for m in document["modules"].values() if "top" in m.get("attributes", {}))
    inside = [name for name, m in document["modules"].items() if "blackbox" in m.get("attributes", {})]
    directions = {name: {p: v["direction"] for p, v in document["modules"][name]["ports"].items()} for name in inside}
    cells = []
    for cell in top["cells"].values():
        ends = ({}, {})
        for port, bits in cell["connections"].items():
            way = cell.get("port_directions", {}).get(port) or directions[cell["type"]][port]
            ends[way == "output"][port] = [b for b in bits if isinstance(b, int)]
        cells.append((cell["type"], cell["parameters"], *ends))
    ports = {p: (v["direction"], [b for b in v["bits"] if isinstance(b, int)]) for p, v in top["ports"].items()}
    names = {}
    for name, net in top["netnames"].items():
        if not net.get("hide_name"):
            for i, bit in enumerate(net["bits"]):
                names.setdefault(bit, f"{name}[{i}]")
    return ports, cells, names


def resources(cells):
    kinds = {}
    for kind, *_ in cells:
        kinds[kind] = kinds.get(kind, 0) + 1
    count = lambda *prefixes: sum(n for k, n in kinds.items() if k.startswith(prefixes))  # noqa: E731
    memory_luts = count("RAM32M", "RAM64M") * 4 + count("RAM64X", "RAM128X", "RAM32X") * 2
    return {"dsp": count("DSP48E2"), "uram": count("URAM288"), "bram": count("RAMB36") + count("RAMB18") / 2,
            "lut": count("LUT") + count("SRL") + memory_luts, "ff": count("FD"), "carry4": count("CARRY4")}


def nodes_of(cells, summaries):
    """Every combinational piece of a cell as (levels, input bits, output bits); register ends as (bits, levels, name);
    register starts as bit -> levels. `summaries`: of the cells that are pieces, by index."""
    nodes, ends, starts = [], [], {}
    for index, (kind, _, inputs, outputs) in enumerate(cells):
        every = [b for bits in inputs.values() for b in bits]
        if index in summaries:
            s = summaries[index]
            for port, bits in outputs.items():
                level = s["arrival"].get(port, NEVER)
                for b in bits:
                    if level >= 0:
                        starts[b] = (level, f"{kind}.{port}")
            for port, bits in inputs.items():
                if s["require"].get(port, NEVER) >= 0:
                    ends.append((bits, s["require"][port], f"{kind}.{port}"))
            for (i, o), level in s["through"].items():
                if inputs.get(i) and outputs.get(o):
                    nodes.append((level, inputs[i], outputs[o]))
        elif kind.startswith(("LUT", "CARRY", "MUXF")) or kind in ("INV", "BUF"):
            for bits in outputs.values():
                nodes.append((int(kind.startswith("LUT")), every, bits))
        elif kind.startswith(("RAM32", "RAM64", "RAM128", "RAM256")):
            # Asynchronous reads: A is the write port's too.
            for port, bits in outputs.items():
                address = [b for p, bs in inputs.items() if p.startswith(("ADDR", "A", "DPRA")) for b in bs]
                nodes.append((1, address, bits))
                for b in bits:
                    starts[b] = (1, kind)
            ends.append((every, 0, kind))
        else:
            for bits in outputs.values():
                for b in bits:
                    starts[b] = (0, None)
            q = [b for bits in outputs.values() for b in bits]
            ends.append((every, 0, q[0] if q else kind))
    return nodes, ends, starts


def order(nodes):
    """Nodes so that each comes after those that drive it."""
    driver = {}
    for n, (_, _, outputs) in enumerate(nodes):
        for b in outputs:
            driver.setdefault(b, []).append(n)
    state, result = [0] * len(nodes), []
    for first in range(len(nodes)):
        stack = [first]
        while stack:
            n = stack[-1]
            if state[n] == 0:
                state[n] = 1
                stack += [m for b in nodes[n][1] for m in driver.get(b, ()) if state[m] == 0]
            else:
                stack.pop()
                if state[n] == 1:
                    state[n] = 2
                    result.append(nodes[n])
    return result


def timing(ports, cells, names, summaries):
    """The piece's summary: arrival, require, through, and its longest paths as (levels, begin, end)."""
    nodes, ends, starts = nodes_of(cells, summaries)
    nodes = order(nodes)
    name = lambda bit: names.get(bit, str(bit)) if isinstance(bit, int) else bit  # noqa: E731
    # Forward from registers.
    at = {b: (level, b if what is None else what) for b, (level, what) in starts.items()}
    none = (NEVER, None)
    for level, inputs, outputs in nodes:
        best = max((at.get(b, none) for b in inputs), key=lambda p: p[0], default=none)
        if best[0] >= 0:
            for b in outputs:
                if best[0] + level > at.get(b, none)[0]:
                    at[b] = (best[0] + level, best[1])
    longest = {}
    for bits, level, end in ends:
        for b in bits:
            here, begin = at.get(b, none)
            if here >= 0:
                path = (here + level, name(begin), name(end))
                key = path[2].rsplit("[", 1)[0]
                if path[0] > longest.get(key, (0,))[0]:
                    longest[key] = path
    arrival = {p: max((at.get(b, none)[0] for b in bits), default=NEVER)
               for p, (way, bits) in ports.items() if way == "output"}
    # Backward: to registers, and to each output port.
    to_register, to_output = {}, {}
    for bits, level, _ in ends:
        for b in bits:
            to_register[b] = max(to_register.get(b, NEVER), level)
    for p, (way, bits) in ports.items():
        if way == "output":
            for b in bits:
                to_output.setdefault(b, {})[p] = 0
    for level, inputs, outputs in reversed(nodes):
        register = max((to_register.get(b, NEVER) for b in outputs), default=NEVER)
        reached = {}
        for b in outputs:
            for p, n in to_output.get(b, {}).items():
                reached[p] = max(reached.get(p, NEVER), n + level)
        for b in inputs:
            if register >= 0:
                to_register[b] = max(to_register.get(b, NEVER), register + level)
            if reached:
                known = to_output.setdefault(b, {})
                for p, n in reached.items():
                    known[p] = max(known.get(p, NEVER), n)
    require, through = {}, {}
    for p, (way, bits) in ports.items():
        if way == "input":
            require[p] = max((to_register.get(b, NEVER) for b in bits), default=NEVER)
            for b in bits:
                for o, n in to_output.get(b, {}).items():
                    through[p, o] = max(through.get((p, o), NEVER), n)
    return {"arrival": arrival, "require": require, "through": through,
            "longest": sorted(longest.values(), key=lambda p: (-p[0], p[1], p[2]))}
