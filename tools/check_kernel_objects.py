#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Objects of files with an instruction set as suffix are safe to link into code for every machine.

  tools/check_kernel_objects.py BUILD_FOLDER

Such an object has no weak symbol (an inline function that the linker could choose for everyone), no
start-up code (it would run before the processor is asked what it can do), calls nothing but the
memory functions of C, and exports one constant: its descriptor.
"""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from check_layers import suffixes  # noqa: E402

MAY_CALL = {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail",
            "__tls_get_addr"}


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def judge(nm, sections):
    """Problems of one object from `nm` and the section names."""
    problems, exported = [], []
    for line in nm.splitlines():
        kind, name = re.fullmatch(r"[0-9a-f]*\s+(\w) (.+)", line).groups()
        if kind in "WwVvu":
            problems.append(f"weak symbol {name}")
        elif kind == "U":
            if name not in MAY_CALL:
                problems.append(f"needs {name} from elsewhere")
        elif kind.isupper():
            exported.append((kind, name))
    for section in sections:
        if re.match(r"\.(init_array|ctors|preinit_array|fini_array|dtors|text\.startup)", section):
            problems.append(f"start-up code in section {section}")
    if len(exported) != 1 or exported[0][0] not in "RD":
        names = ", ".join(f"{name} ({kind})" for kind, name in exported) or "nothing"
        problems.append(f"exports {names}; one constant descriptor is wanted")
    elif exported[0][0] == "D" and ".data.rel.ro" not in " ".join(sections):
        problems.append(f"its descriptor {exported[0][1]} is not constant")
    return problems


def check(build, isas):
    pattern = re.compile(r"_(" + "|".join(sorted(isas)) + r")\.cpp\.o$")
    # The build of the binding's sanitized tests lies in this one; its objects are linked into nothing else.
    objects = sorted(p for p in build.rglob("*.o")
                     if pattern.search(p.name) and "sanitized" not in p.parts)
    problems = []
    for path in objects:
        sections = re.findall(r"^\s*\[\s*\d+\]\s+(\.\S+)", output("readelf", "-SW", str(path)),
                              re.M)
        problems += [f"{path.name}: {p}" for p in judge(output("nm", "-C", str(path)), sections)]
    if not objects:
        problems.append(f"no object of {', '.join(sorted(isas))} under {build}: build first")
    return problems, len(objects)


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    problems, count = check(Path(sys.argv[1]), suffixes(Path(__file__).parent.parent))
    print("\n".join(problems) if problems else f"kernel objects: {count}, all self-contained")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
