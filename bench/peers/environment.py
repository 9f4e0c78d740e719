# SPDX-License-Identifier: Apache-2.0
"""Makes the virtual environment that compare.py runs in, from the pinned requirements.txt.

    python3 bench/peers/environment.py FOLDER auto|NAMES LEFT_OUT.json      (auto: not scikit-learn's)

Each engine is installed on its own, so that one that cannot be had leaves the others. What was left
out, and why, goes to LEFT_OUT.json. An engine that is there already costs no network.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import venv

# What each engine needs of requirements.txt; the first is what it is imported as.
NEEDS = {"onnxruntime": ["onnxruntime"], "openvino": ["openvino"], "torch": ["torch"],
         "tensorflow": ["tensorflow-cpu"], "scikit-learn": ["scikit-learn"],
         "scikit-learn-intelex": ["scikit-learn-intelex"]}
BASE = ["numpy", "onnx"]
# The peers of ml_compare.py, which are only installed where they are named.
LEARNING = {"scikit-learn", "scikit-learn-intelex"}
LARGE = {"torch": "its packages are 3 GB; ask for it with --peers torch, or put it in a machine with "
                  "an NVIDIA card"}


def pins():
    lines = pathlib.Path(__file__).with_name("requirements.txt").read_text().splitlines()
    return {line.split("==")[0]: line for line in lines if "==" in line}


def installed(python, pin):
    name, _, version = pin.partition("==")
    code = f"import importlib.metadata as m; assert m.version('{name}') == '{version}'"
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def install(python, packages):
    """None, or why it did not work."""
    pinned = [pins()[package] for package in packages]
    if all(installed(python, pin) for pin in pinned):
        return None
    print(f"  installing {' '.join(pinned)}", flush=True)
    made = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                           *pinned], capture_output=True, text=True)
    lines = [line for line in made.stderr.splitlines() if line.strip()]
    return None if made.returncode == 0 else (lines[-1] if lines else "pip failed")


def main():
    folder, names, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    python = str(folder / "bin" / "python")
    if not pathlib.Path(python).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        venv.create(folder, with_pip=True)
    base = BASE if names == "auto" or not set(names.split(",")) <= LEARNING else ["numpy"]
    reason = install(python, base)
    if reason:
        sys.exit(f"{folder}: {' and '.join(base)} cannot be installed: {reason}")
    left_out = []
    for name, packages in NEEDS.items():
        if name in LEARNING if names == "auto" else name not in names.split(","):
            continue
        small = names != "auto" or name not in LARGE or shutil.which("nvidia-smi")
        if not small and not installed(python, pins()[packages[0]]):
            reason = LARGE[name]
        else:
            reason = install(python, packages)
        if reason:
            left_out.append({"system": name, "reason": reason})
            print(f"  left out: {name}: {reason}", flush=True)
    out.write_text(json.dumps(left_out))


if __name__ == "__main__":
    main()
