#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the packages that the build needs (Debian 12, Ubuntu 24.04, or newer).
#   tools/setup.sh [LIST...]     lists of package names, one a line; default tools/packages.txt
# As root, or with sudo that asks for no password, it installs what is missing. Otherwise it prints
# the one line to run and fails. With everything there it takes milliseconds.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- tools/packages.txt

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "setup: not Debian or Ubuntu: install what $* names in your system's way; going on" >&2
  exit 0
fi

# Nothing to look up when neither the lists nor the package database changed since the last time.
stamp=.cache/setup-$(echo "$*" | tr -c 'a-z0-9-' '_')
fresh=yes
for file in "$@" tools/setup.sh /var/lib/dpkg/status; do
  [ "$stamp" -nt "$file" ] || fresh=
done
[ -z "$fresh" ] || exit 0

wanted=$(cat "$@")
# shellcheck disable=SC2086  # the lists are words
present=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $wanted 2>/dev/null |
  sed -n 's/^ii //p' || true)
missing=
for package in $wanted; do
  case "
$present
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
  esac
done

mkdir -p .cache
if [ -n "$missing" ]; then
  install="apt-get install -y --no-install-recommends$missing"
  if [ "$(id -u)" = 0 ]; then
    sudo=
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo='sudo -n'
  else
    echo "setup: some packages are missing; run this once, then try again:" >&2
    echo "sudo sh -c 'apt-get update && $install'" >&2
    exit 1
  fi
  echo "setup: installing$missing"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive $install >.cache/setup.log 2>&1 || {
    tail -n 30 .cache/setup.log >&2
    echo "setup: apt-get failed; the line was: $install" >&2
    exit 1
  }
fi
touch "$stamp"
