#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The binding's tests with the whole library and the module under the address and undefined-behaviour
# sanitizers (g++'s), which are loaded into an ordinary Python.
#   sanitize.sh FOLDER [pytest arguments]     FOLDER keeps the environment and the build between runs
# Exits with 77 (skipped) and the reason where run.sh does, or without g++'s sanitizers.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=$1
shift
skip() {
  echo "skipped: $1"
  exit 77
}
asan=$(g++ -print-file-name=libasan.so) && ubsan=$(g++ -print-file-name=libubsan.so)
[ "${asan#/}" != "$asan" ] && [ "${ubsan#/}" != "$ubsan" ] || skip "g++ has no sanitizers here"
"$root/bindings/python/tests/environment.sh" "$folder" || exit $?
venv=$folder/venv
cmake -G Ninja -S "$root" -B "$folder/sanitized" -DCMAKE_CXX_COMPILER=g++ \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1" \
  -DPRONGHORN_SANITIZE=ON -DPRONGHORN_PYTHON=ON -DPRONGHORN_TESTS=OFF \
  -DPython_EXECUTABLE="$venv/bin/python" >"$folder/sanitized.log" 2>&1 &&
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
export LD_PRELOAD="$asan:$ubsan:$(g++ -print-file-name=libstdc++.so.6)"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export PYTHONMALLOC=malloc PYTHONPATH="$folder/sanitized-package" PRONGHORN_SANITIZED=1
"$venv/bin/python" -c 'import pronghorn; print("sanitized:", pronghorn._native.__file__)'
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider \
  "$root/bindings/python/tests/test_core.py" "$root/bindings/python/tests/test_bad_input.py" \
  "$root/bindings/python/tests/test_keras.py" "$root/bindings/python/tests/test_hook_core.py" \
  "$root/bindings/python/tests/test_hook_keras.py" "$@"
