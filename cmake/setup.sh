#!/usr/bin/env bash
# Installs what is missing, configures the release preset, builds it. Called by demo.sh and test.sh; what is
# there already is neither installed nor built again.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

packages=(g++ cmake ninja-build ccache
  llvm-22-dev libmlir-22-dev mlir-22-tools llvm-22-tools clang-22 libclang-rt-22-dev
  libtbb-dev nlohmann-json3-dev libcli11-dev libxxhash-dev libdlpack-dev zlib1g-dev
  libgtest-dev libgmock-dev libbenchmark-dev libsodium23 python3)

install_missing() {
  local missing=() package sudo=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  echo "Installing: ${missing[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

if command -v dpkg-query >/dev/null && [ -z "${TENON_SKIP_INSTALL:-}" ]; then
  install_missing
fi
[ -f build/build.ninja ] || cmake --preset release
cmake --build --preset release "$@"
