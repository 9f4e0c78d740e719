#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes what the RTL, the simulator and the host share from rtl/configs.toml.

  rtl/tools/configs.py --sv CONFIG OUT     the SystemVerilog package pronghorn_pkg of one configuration
  rtl/tools/configs.py --cpp OUT           the C++ table of all configurations
  rtl/tools/configs.py --id CONFIG         the configuration's id, in hexadecimal
"""
import sys
import zlib
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where scikit-build-core brings the same parser
    import tomli as tomllib

SOURCE = Path(__file__).parent.parent / "configs.toml"
NUMBERS = ("oc", "ic", "px", "cascade", "axi_bytes", "m0_rows", "m1_rows", "w_uram_words",
           "w_bram_words", "c_words", "command_words", "row_bytes", "logic_mhz")
LATENCIES = ("command", "conv", "logits", "add", "average", "maxpool", "residual", "dispatch",
             "store_row", "load")
RAMS = ("m0_ram", "m1_ram")


def fail(text):
    sys.exit(f"configs.py: {SOURCE.name}: {text}")


def check(name, c):
    """The rules that the RTL relies on."""
    for key in NUMBERS:
        if not isinstance(c.get(key), int) or c[key] < 0:
            fail(f"config.{name}.{key} must be a whole number")
    for key in RAMS:
        if c.get(key) not in ("uram", "bram"):
            fail(f"config.{name}.{key} must be \"uram\" or \"bram\"")
    rules = {
        "px even, at most 32": c["px"] % 2 == 0 and 2 <= c["px"] <= 32,
        "oc twice ic": c["oc"] == 2 * c["ic"],
        "ic a multiple of cascade": c["ic"] % c["cascade"] == 0,
        "cascade at most 8: the sums must fit 18 bits": 1 <= c["cascade"] <= 8,
        "ic a multiple of 4: a word holds ic / 4 logits": c["ic"] % 4 == 0,
        "px * ic, oc * ic and 8 * ic multiples of axi_bytes": all(
            n % c["axi_bytes"] == 0 for n in (c["px"] * c["ic"], c["oc"] * c["ic"], 8 * c["ic"])),
        "row_bytes a multiple of axi_bytes": c["row_bytes"] % c["axi_bytes"] == 0,
        "depths that 16-bit addresses reach": max(
            c["m0_rows"], c["m1_rows"], c["w_uram_words"] + c["w_bram_words"], c["c_words"],
            c["command_words"]) <= 65536,
    }
    for rule, holds in rules.items():
        if not holds:
            fail(f"config.{name}: {rule}")


def load():
    document = tomllib.loads(SOURCE.read_text())
    for key in LATENCIES:
        if not isinstance(document["latency"].get(key), int):
            fail(f"latency.{key} must be a whole number")
    for name, c in document["config"].items():
        check(name, c)
        if c["card"] not in document["card"]:
            fail(f"config.{name}.card: no [card.{c['card']}]")
    return document


def identity(name, c):
    """What a bitstream's register 0x48 holds: whatever changes the command stream changes it."""
    text = name + "".join(f",{key}={c[key]}" for key in NUMBERS)
    return zlib.crc32(text.encode())


def sv(document, name):
    c = document["config"][name]
    lines = ["// Made from rtl/configs.toml by rtl/tools/configs.py.", "package pronghorn_pkg;"]
    names = {"oc": "OC", "ic": "IC", "px": "PX", "cascade": "Cascade", "axi_bytes": "AxiBytes",
             "m0_rows": "M0Rows", "m1_rows": "M1Rows", "w_uram_words": "WUramWords",
             "w_bram_words": "WBramWords", "c_words": "CWords", "command_words": "CommandWords",
             "row_bytes": "RowBytes"}
    for key, parameter in names.items():
        lines.append(f"  localparam int unsigned {parameter} = {c[key]};")
    for key in RAMS:
        lines.append(f"  localparam bit {key[:2].upper()}Uram = 1'b{int(c[key] == 'uram')};")
    lines.append(f"  localparam logic [31:0] ConfigId = 32'h{identity(name, c):08x};")
    for key in LATENCIES:
        lines.append(f"  localparam int unsigned Latency{key.title().replace('_', '')} = {document['latency'][key]};")
    return "\n".join(lines + ["endpackage", ""])


def cpp(document):
    lines = ["// Made from rtl/configs.toml by rtl/tools/configs.py.", "#pragma once", "",
             "#include <cstdint>", "#include <string_view>", "", "namespace pronghorn::device::fpga {", "",
             "// docs/fpga.md says what each number means.", "struct Configuration {",
             "  std::string_view name;", "  std::string_view card;", "  std::uint32_t id;"]
    lines += [f"  int {key};" for key in NUMBERS]
    lines += ["};", "", "inline constexpr Configuration kConfigurations[] = {"]
    for name, c in document["config"].items():
        numbers = ", ".join(str(c[key]) for key in NUMBERS)
        lines.append(f'    {{"{name}", "{c["card"]}", 0x{identity(name, c):08x}u, {numbers}}},')
    lines += ["};", "", "// Logic cycles; docs/fpga.md, \"Cycles\".", "struct Latency {"]
    lines += [f"  int {key};" for key in LATENCIES]
    numbers = ", ".join(str(document["latency"][key]) for key in LATENCIES)
    lines += ["};", f"inline constexpr Latency kLatency{{{numbers}}};", "",
              "}  // namespace pronghorn::device::fpga", ""]
    return "\n".join(lines)


def write(path, text):
    """Leaves an unchanged file alone, so that nothing is built again."""
    path = Path(path)
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def main():
    arguments = sys.argv[1:]
    document = load()
    if len(arguments) == 3 and arguments[0] == "--sv" and arguments[1] in document["config"]:
        write(arguments[2], sv(document, arguments[1]))
    elif len(arguments) == 2 and arguments[0] == "--cpp":
        write(arguments[1], cpp(document))
    elif len(arguments) == 2 and arguments[0] == "--id" and arguments[1] in document["config"]:
        print(f"{identity(arguments[1], document['config'][arguments[1]]):08x}")
    else:
        sys.exit(__doc__ + "\nconfigurations: " + " ".join(document["config"]))


if __name__ == "__main__":
    main()
