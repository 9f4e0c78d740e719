#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libpronghorn.so exports the C ABI, all of it and nothing else; every function has its comment.

  tools/check_exports.py LIBRARY [HEADER...]
"""
import re
import subprocess
import sys
from pathlib import Path


def declared(headers):
    text = "\n".join(Path(h).read_text() for h in headers)
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    return set(re.findall(r"\bPH_API\b[^;{}()]*?\b(ph_\w+)\s*\(", text))


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if line.strip()}


def compare(names_declared, names_exported):
    problems = [f"exported, but no function of the header: {name}"
                for name in sorted(names_exported - names_declared)]
    problems += [f"declared PH_API, but not exported: {name}"
                 for name in sorted(names_declared - names_exported)]
    if not names_declared:
        problems.append("the headers declare no PH_API function")
    return problems


def undocumented(headers):
    """PH_API functions without a comment of their own: right above, or at the end of their line."""
    problems = []
    for header in map(Path, headers):
        lines = header.read_text().split("\n")
        for i, line in enumerate(lines):
            if not line.startswith("PH_API "):
                continue
            last = next(j for j in range(i, len(lines)) if ";" in lines[j])
            above = lines[i - 1].rstrip()
            if "/*" in lines[last] or above.endswith("*/") and not above.startswith("PH_API "):
                continue
            name = re.search(r"\b(ph_\w+)\s*\(", "".join(lines[i:last + 1])).group(1)
            problems.append(f"{header.name}:{i + 1}: {name} has no comment of its own")
    return problems


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    root = Path(__file__).parent.parent
    headers = sys.argv[2:] or sorted((root / "include/pronghorn").glob("*.h"))
    names = declared(headers)
    problems = compare(names, exported(sys.argv[1])) + undocumented(headers)
    print("\n".join(problems) if problems else f"exports: {len(names)} functions, nothing else")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
