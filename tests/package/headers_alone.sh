#!/usr/bin/env bash
# Every public header compiles by itself, in C++20, and names neither LLVM nor MLIR.
set -euo pipefail
compiler=$1 source=$2
for header in "$source"/runtime/include/tenon/*.h "$source"/python-free-frontend/include/tenon/*.h; do
  "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -x c++ "$header" \
    -I "$source/runtime/include" -I "$source/python-free-frontend/include" \
    -Wno-pragma-once-outside-header
  if grep -nE '#include .*(llvm|mlir)|\b(llvm|mlir)::' "$header"; then
    echo "$header shows LLVM"
    exit 1
  fi
done
