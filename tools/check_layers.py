#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the arrows of docs/architecture.md, checked on the #include lines.

  tools/check_layers.py [ROOT]

Files of a room include files of that room, of the rooms listed for it below, <pronghorn/...> where
listed, and headers of libraries. A test may also use the rooms that its subject does not know, as
long as they do not stand above it. A file with an instruction set as suffix (conv_avx2.cpp) includes
intrinsics, <cstdint> and the headers of its own folder only: an inline function shared by files
built with different flags would end up, by link order, in code for every machine.
"""
import re
import sys
from pathlib import Path

# room: what it may include besides itself; what those may include comes along.
DIRECT = {
    "base": [],
    "arith": ["base"],
    "graph": ["arith"],
    "import": ["graph"],
    "image": ["graph"],
    "device": ["graph"],
    "device/reference": ["device"],
    "device/cpu": ["device"],
    "device/cuda": ["device"],
    "device/fpga": ["device"],
    "quantize": ["device"],
    "ml": ["device"],
    "runtime": ["import", "image", "quantize", "ml", "device/reference", "device/cpu",
                "device/cuda", "device/fpga"],
    "capi": ["runtime", "include"],
    "include": [],
    "bench": ["include"],
    "apps": ["include", "bench"],
    "bindings": ["include"],
}
# Libraries that one room keeps to itself.
LIBRARIES = {
    r"jpeglib\.h|turbojpeg\.h|png\.h": ["image", "bench"],
    r"onnx/.*|google/protobuf/.*": ["import"],
    r"hdf5\.h|H5.*\.h|zlib\.h": ["import"],
    r"(oneapi/)?dnnl.*": ["device/cpu"],
    r"nlohmann/.*": ["import", "device/fpga", "quantize", "runtime", "capi", "bench", "apps"],
    r"CLI/.*": ["apps"],
    r"curl/.*": ["apps"],
    r"gtest/.*|gmock/.*": [],
}
INTRINSICS = re.compile(r"[a-z]*mmintrin\.h|cstdint|stdint\.h|arm_neon\.h")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
SOURCES = {".cpp", ".h", ".hpp", ".c", ".cu", ".cuh"}


def closure():
    reach = {}
    for room in DIRECT:  # listed lowest first
        reach[room] = {room}
        for below in DIRECT[room]:
            if below not in reach:  # forward only: a cycle cannot be written down
                reach[below] = {below} | set(DIRECT[below])
            reach[room] |= reach[below]
    return reach


def room_of(path):
    """The room of a path relative to the root, or None for what the rule does not cover."""
    parts = path.parts
    if parts[0] != "src":
        return parts[0] if parts[0] in DIRECT else None
    if len(parts) > 3 and parts[1] == "device":
        return "/".join(parts[1:3])
    return parts[1] if len(parts) > 2 and parts[1] in DIRECT else None


def suffixes(root):
    """The instruction sets that tools/cmake/room.cmake has flags for."""
    text = (root / "tools/cmake/room.cmake").read_text()
    return set(re.findall(r"PH_ISA_FLAGS_(\w+) ", text))


def is_kernel(path, isas):
    return path.suffix == ".cpp" and path.stem.rsplit("_", 1)[-1] in isas


def check(root):
    reach = closure()
    isas = suffixes(root)
    problems = []
    files = [f for top in ("src", "include", "bench", "apps", "bindings") if (root / top).exists()
             for f in sorted((root / top).rglob("*")) if f.suffix in SOURCES]
    for file in files:
        path = file.relative_to(root)
        room = room_of(path)
        if room is None or room not in DIRECT:
            problems.append(f"{path}: is in no room; rooms are {', '.join(DIRECT)}")
            continue
        test = re.search(r"_(test|fuzz|bench)$", path.stem) or "test" in path.stem.split("_")
        for bracket, name in INCLUDE.findall(file.read_text()):
            where = f"{path}: includes {name}: "
            if is_kernel(path, isas):
                own = (file.parent / Path(name).name).exists() and bracket == '"'
                if not own and not INTRINSICS.fullmatch(name):
                    problems.append(where + "a kernel file takes intrinsics, <cstdint> and the "
                                    "headers of its own folder only")
                continue
            if INTRINSICS.fullmatch(name) and "mmintrin" in name:
                problems.append(where + "intrinsics belong in files with an instruction set as "
                                f"suffix ({', '.join(sorted(isas))})")
            for pattern, owners in LIBRARIES.items():
                if re.fullmatch(pattern, name) and room not in owners and not test:
                    problems.append(where + "only " + (", ".join(owners) or "tests") + " may")
            target = included_room(root, file, bracket, name)
            if target is None:
                continue
            if target in reach[room]:
                continue
            if test and target != "capi" and room not in reach[target]:
                continue
            problems.append(where + f"{room} may include "
                            + (", ".join(sorted(reach[room] - {room})) or "nothing of ours"))
    return problems


def included_room(root, file, bracket, name):
    if name.startswith("pronghorn/"):
        return "include"
    if bracket == "<":
        return None
    for base in (root / "src", root, file.parent):
        candidate = base / name
        if candidate.is_file():
            resolved = candidate.resolve().relative_to(root.resolve())
            return room_of(resolved)
    # Made during the build, or missing, which the compiler says.
    return room_of(Path("src") / name) if name.split("/")[0] not in ("bench", "apps") else None


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    problems = check(root)
    print("\n".join(problems) if problems else "layers: every include follows the arrows")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
