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

format() { git ls-files -z '*.cpp' '*.h' '*.hpp' '*.c' | xargs -0 clang-format-19 --dry-run -Werror; }

# Only what differs from the main branch, or every source when nothing does.
tidy() {
  [ -f build/compile_commands.json ] || { echo "no build: make test first"; return 1; }
  base=$(git merge-base HEAD origin/main 2>/dev/null || echo HEAD)
  files=$(git diff --name-only --diff-filter=d "$base" -- 'src/*.cpp' 'apps/*.cpp' 'bench/*.cpp')
  [ -n "$files" ] || files=$(git ls-files 'src/*.cpp' 'apps/*.cpp' 'bench/*.cpp')
  echo "$files" | grep -vE '_(test|bench)\.cpp$' |
    xargs -r -P "$(nproc)" -n 4 clang-tidy-19 -p build --quiet 2>&1 |
    grep -vE '^[0-9]+ warnings? generated' | tee build/tidy.log
  ! grep -q 'error:' build/tidy.log
}

check self-tests python3 tools/checks_test.py
check files python3 tools/check_files.py
check layers python3 tools/check_layers.py
check exports python3 tools/check_exports.py build/libpronghorn.so
check kernel-objects python3 tools/check_kernel_objects.py build
check format format
[ "${PRONGHORN_TIDY:-1}" = 0 ] || check tidy tidy

[ -z "$failed" ] || {
  echo "lint: failed:$failed"
  exit 1
}
