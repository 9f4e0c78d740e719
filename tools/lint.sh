#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every check that is not a test; needs what `make test` has built. All run, then the failed ones
# are named. PRONGHORN_TIDY=0 leaves out clang-tidy, the slow one.
set -u
cd "$(dirname "$0")/.."
tools/setup.sh tools/packages.txt tools/packages-ci.txt || exit 1

failed=
check() {
  name=$1
  shift
  if "$@"; then echo "ok: $name"; else failed="$failed $name" && echo "FAILED: $name"; fi
}

format() { git ls-files -z '*.cpp' '*.h' '*.hpp' '*.c' '*.cu' '*.cuh' | xargs -0 clang-format-19 --dry-run -Werror; }

# clang-tidy takes seconds a file, so only what differs from the main branch, or what the last commit
# changed; PRONGHORN_TIDY=all for every file.
tidy() {
  [ -f build/compile_commands.json ] || { echo "no build: make test first"; return 1; }
  base=$(git merge-base HEAD origin/main 2>/dev/null || true)
  [ "$base" != "$(git rev-parse HEAD)" ] && [ -n "$base" ] || base=HEAD~1
  set -- 'src/*.cpp' 'apps/*.cpp' 'bench/*.cpp'
  if [ "${PRONGHORN_TIDY:-}" = all ]; then
    files=$(git ls-files "$@")
  else
    files=$(git diff --name-only --diff-filter=d "$base" -- "$@" 2>/dev/null | head -n 20)
  fi
  # Only what this build compiles: the CUDA device needs its toolkit's headers.
  echo "$files" | grep -vE '_(test|bench)\.cpp$' |
    while read -r file; do grep -qF "/$file\"" build/compile_commands.json && echo "$file"; done |
    xargs -r -P "$(nproc)" -n 4 clang-tidy-19 -p build --quiet >build/tidy.log 2>&1
  grep -E -A 3 '(warning|error):' build/tidy.log && return 1
  return 0
}

check self-tests python3 tools/checks_test.py
check files python3 tools/check_files.py
check layers python3 tools/check_layers.py
check exports python3 tools/check_exports.py build/libpronghorn.so
check kernel-objects python3 tools/check_kernel_objects.py build
check results python3 bench/make_table.py --check
check fpga-tables python3 rtl/tools/tables.py --check
check gpu-layers python3 bench/gpu_layers.py --check
check format format
[ "${PRONGHORN_TIDY:-1}" = 0 ] || check tidy tidy

[ -z "$failed" ] || {
  echo "lint: failed:$failed"
  exit 1
}
