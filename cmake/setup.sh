#!/usr/bin/env bash
# Installs what the build needs where that is possible (Debian or Ubuntu, as root); elsewhere prints the
# exact list of what is missing. Does nothing, quickly, when everything is there.
set -euo pipefail

packages=(g++ make cmake ninja-build libopenblas-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev
  libxxhash-dev libpcre2-dev catch2 libopenmpi-dev openmpi-bin)

missing=()
if command -v dpkg-query >/dev/null; then
  for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
  done
else
  command -v cmake >/dev/null || missing+=(cmake)
  command -v ninja >/dev/null || missing+=(ninja)
  command -v c++ >/dev/null || missing+=(g++)
  [ ${#missing[@]} -eq 0 ] || { echo "missing programs: ${missing[*]}" >&2; exit 2; }
  exit 0
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  }
else
  echo "missing packages; install them and run make again:" >&2
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 2
fi
