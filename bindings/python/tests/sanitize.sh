#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The binding's tests with the module and what it calls (C ABI, sessions, images, base) under the address
# and undefined-behaviour sanitizers (GCC's), which are loaded into an ordinary Python. Graphs, importers,
# quantization, devices and ml stay as they are: they never see an array of Python's, their C++ tests and
# fuzzers run under the sanitizers (the preset asan), and here they would take most of an hour.
#   sanitize.sh FOLDER [pytest arguments]     FOLDER keeps the environment and the build between runs
# Exits with 77 (skipped) and the reason where run.sh does, or without GCC's sanitizers.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=$1
shift
skip() {
  echo "skipped: $1"
  exit 77
}
cxx=${CXX:-c++}
asan=$("$cxx" -print-file-name=libasan.so) && ubsan=$("$cxx" -print-file-name=libubsan.so)
[ "${asan#/}" != "$asan" ] && [ "${ubsan#/}" != "$ubsan" ] || skip "$cxx has none of GCC's sanitizers"
"$root/bindings/python/tests/environment.sh" "$folder" || exit $?
venv=$folder/venv
plain="ph_arith;ph_graph;ph_import;ph_quantize;ph_ml;ph_device_reference;ph_device_cpu;ph_device_fpga"
plain="$plain;nanobind-static"
cmake -G Ninja -S "$root" -B "$folder/sanitized" -DCMAKE_BUILD_TYPE=Release \
  -DPRONGHORN_SANITIZE=ON "-DPRONGHORN_SANITIZE_EXCEPT=$plain" -DPRONGHORN_PYTHON=ON \
  -DPRONGHORN_TESTS=OFF -DPython_EXECUTABLE="$venv/bin/python" >"$folder/sanitized.log" 2>&1 &&
  cmake --build "$folder/sanitized" --target _native -j "${JOBS:-2}" >>"$folder/sanitized.log" 2>&1 || {
  tail -n 40 "$folder/sanitized.log"
  exit 1
}
# The package as a wheel would lay it out.
rm -rf "$folder/sanitized-package"
cmake --install "$folder/sanitized" --component python --prefix "$folder/sanitized-package" >/dev/null
cp -R "$root/bindings/python/pronghorn/." "$folder/sanitized-package/pronghorn"
# Python frees little at its end on purpose, so leaks are not counted. Its allocator would hide our
# buffers in arenas. libstdc++ has to be there before an exception is thrown.
cd "$folder"
export LD_PRELOAD="$asan:$ubsan:$("$cxx" -print-file-name=libstdc++.so.6)"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export PYTHONMALLOC=malloc PYTHONPATH="$folder/sanitized-package" PRONGHORN_SANITIZED=1
"$venv/bin/python" -c 'import pronghorn; print("sanitized:", pronghorn._native.__file__)'
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider \
  "$root/bindings/python/tests/test_core.py" "$root/bindings/python/tests/test_bad_input.py" \
  "$root/bindings/python/tests/test_keras.py" "$root/bindings/python/tests/test_hook_core.py" \
  "$root/bindings/python/tests/test_hook_keras.py" "$@"
