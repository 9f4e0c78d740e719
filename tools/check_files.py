#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Properties of every tracked file: licence line, length, size, no unfinished work, no own paths.

  tools/check_files.py [ROOT]
"""
import re
import subprocess
import sys
from pathlib import Path

CODE = {".cpp", ".h", ".hpp", ".c", ".cu", ".cuh", ".sv", ".py", ".sh", ".cmake", ".java", ".scala",
        ".R", ".map"}
CODE_NAMES = {"CMakeLists.txt", "Makefile", "run"}
MAX_LINES = 800
MAX_BYTES = 2_000_000
# Written so that these lines do not match themselves.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|not[ ]implemented|st[u]b|place[h]older|dum[m]y)\b",
                        re.I)
OWN_PATHS = re.compile(r"(?<![\w.$}])/(?:home|root|farm|work)/|(?<![\w.$}])/tmp/[a-z0-9_-]+/")


def problems_of(name, data):
    """Problems of one file, by its path in the repository and its bytes."""
    found = []
    path = Path(name)
    if len(data) > MAX_BYTES and path.parts[0] != "models":
        found.append(f"{name}: {len(data)} bytes; {MAX_BYTES} are allowed outside models/")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return found
    code = path.suffix in CODE or path.name in CODE_NAMES
    lines = text.splitlines()
    if code and not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
        found.append(f"{name}: no 'SPDX-License-Identifier: Apache-2.0' in its first two lines")
    if code and len(lines) > MAX_LINES:
        found.append(f"{name}: {len(lines)} lines; {MAX_LINES} are allowed")
    if text and not text.endswith("\n") and code:
        found.append(f"{name}: does not end with a new line")
    for number, line in enumerate(lines, 1):
        if code and (match := UNFINISHED.search(line)):
            found.append(f"{name}:{number}: '{match.group(0)}' marks unfinished work")
        if match := OWN_PATHS.search(line):
            found.append(f"{name}:{number}: '{match.group(0)}' is a path of one machine")
    return found


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True,
                           stdout=subprocess.PIPE).stdout.decode().split("\0")[:-1]
    problems = []
    for name in names:
        if (root / name).is_file():
            problems += problems_of(name, (root / name).read_bytes())
    print("\n".join(problems) if problems else f"files: {len(names)}, each in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
