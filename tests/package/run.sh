#!/usr/bin/env bash
# Installs the build tree into a prefix, builds a program against that copy alone, and runs it.
set -euo pipefail
build=$1 scratch=$2 runtime_only=$3
here=$(dirname "$(readlink -f "$0")")
rm -rf "$scratch/prefix" "$scratch/consumer"
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
cmake -G Ninja -S "$here/consumer" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
  -DTENON_RUNTIME_ONLY="$runtime_only" >/dev/null
cmake --build "$scratch/consumer"
for program in "$scratch"/consumer/bin/*; do
  [ -f "$program" ] || continue # kernels of one of them
  echo "== ${program##*/}"
  "$program"
done
"$scratch/prefix/bin/tenon" --version
