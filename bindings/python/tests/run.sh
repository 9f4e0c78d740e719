#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the wheel of this tree in a virtual environment of its own and runs the tests with it.
#   run.sh FOLDER [pytest arguments]     FOLDER keeps the environment and the build between runs
# Exits with 77 (skipped) and the reason when python3 lacks venv, pip or headers, or no registry answers.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=$1
shift
"$root/bindings/python/tests/environment.sh" "$folder" || exit $?
"$folder/venv/bin/pip" wheel --no-build-isolation --no-deps -w "$folder/wheel" \
  --config-settings=build-dir="$folder/build" "$root" >"$folder/build.log" 2>&1 || {
  tail -n 40 "$folder/build.log"
  exit 1
}
wheel=$(ls -t "$folder"/wheel/*.whl | head -n 1)
size=$(wc -c <"$wheel")
echo "$wheel: $size bytes"
[ "$size" -lt 40000000 ] || { echo "the wheel must stay below 40 MB"; exit 1; }
"$folder/venv/bin/python" - "$wheel" "$root/models/resnet50-tin200-int8.onnx" <<'CHECK'
# What the size is the size of: the library with the embedded model in it, the module, the hook's start.
import sys, zipfile
wheel, model = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
    (library,) = [n for n in names if n.startswith("pronghorn/libpronghorn.so")]
    data, embedded = archive.read(library), open(model, "rb").read()
    if embedded not in data:
        sys.exit(f"{wheel}: {library} does not hold {model}")
    for wanted in ("pronghorn.pth", "_pronghorn_start.py", "pronghorn/_native/__init__.pyi", "pronghorn/py.typed"):
        if wanted not in names:
            sys.exit(f"{wheel}: {wanted} is missing")
print(f"with the embedded model ({len(embedded)} bytes) in {library} ({len(data)} bytes)")
CHECK
"$folder/venv/bin/pip" install -q --force-reinstall --no-deps "$wheel"
cd "$folder" # not in the tree: the installed package is what is tested
"$folder/venv/bin/python" -m pytest -q -p no:cacheprovider "$root/bindings/python/tests" "$@"
exec "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider --nbmake \
  "$root/bindings/python/examples"
