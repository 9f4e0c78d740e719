#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the benches reach of rtl/src: lines and toggles, of Verilator's coverage files.

  rtl/tools/coverage.py OUT.json FILE.coverage...

The files are what benches write that were built with -DPRONGHORN_RTL_COVERAGE=ON. A point counts once, however many
instances of its module there are. Names the lines that no bench reached.
"""
import json
import sys
from pathlib import Path


def points(path):
    """(kind, file, line, column, what) -> hits. A record is "C 'key<TAB>value...' hits", its keys single letters."""
    for record in path.read_text(errors="replace").splitlines():
        if not record.startswith("C '"):
            continue
        text, hits = record[3:].rsplit("' ", 1)
        fields = dict(part.split("\x02", 1) for part in text.split("\x01") if "\x02" in part)
        name = Path(fields.get("f", "")).name
        kind = fields.get("page", "").split("/")[0].removeprefix("v_")
        yield (kind, name, int(fields.get("l", 0)), int(fields.get("n", 0)), fields.get("o", "")), int(hits)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sources = {p.name for p in (Path(__file__).parent.parent / "src").glob("*.sv")}
    seen = {}
    for path in map(Path, sys.argv[2:]):
        for key, hits in points(path):
            if key[1] in sources:
                seen[key] = seen.get(key, 0) + hits
    if not seen:
        sys.exit("coverage.py: no point of rtl/src in these files")
    modules, totals = {}, {}
    for (kind, name, line, _, what), hits in sorted(seen.items()):
        module = modules.setdefault(name.removesuffix(".sv"), {})
        for count in (module.setdefault(kind, [0, 0]), totals.setdefault(kind, [0, 0])):
            count[0] += hits > 0
            count[1] += 1
        if kind in ("line", "branch") and hits == 0:
            module.setdefault("missed_lines", []).append(f"{line}: {what}")
    share = {kind: round(hit / all_, 4) for kind, (hit, all_) in totals.items()}
    report = {"schema": 1, "command": "make rtl-coverage", "models": len(sys.argv) - 2,
              "share": share, "points": totals, "modules": modules}
    out = Path(sys.argv[1])
    temporary = out.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.rename(out)
    print(json.dumps({"share": share, "points": totals}))


if __name__ == "__main__":
    main()
