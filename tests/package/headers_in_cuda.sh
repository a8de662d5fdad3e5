#!/usr/bin/env bash
# Every public header, included from a .cu file in C++20.
set -euo pipefail
nvcc=$1 source=$2 scratch=$3
if [ ! -x "$nvcc" ]; then
  echo "SKIPPED: nvcc is not installed"
  exit 0
fi
file=$scratch/headers.cu
for header in "$source"/runtime/include/tenon/*.h "$source"/python-free-frontend/include/tenon/*.h; do
  echo "#include \"tenon/$(basename "$header")\""
done >"$file"
echo 'tenon::Result<tenon::Tensor> zeros() { return tenon::Tensor::zeros({1, 2}); }' >>"$file"
"$nvcc" -std=c++20 -c "$file" -o "$scratch/headers.o" -Xcompiler -Wall \
  -I "$source/runtime/include" -I "$source/python-free-frontend/include"
