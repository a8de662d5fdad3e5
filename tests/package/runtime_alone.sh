#!/usr/bin/env bash
# Attention from a ready cache in a root that holds the command, the libraries that it links, and the
# kernels: neither LLVM nor the compiler nor the CUDA toolkit. The answer is that of the machine that compiled.
set -euo pipefail
build=$1 scratch=$2
here=$(dirname "$(readlink -f "$0")")
unset TENON_CACHE TENON_CACHE_DIR TENON_CACHE_PATH TENON_CACHE_POLICY
enter=(chroot)
[ "$(id -u)" = 0 ] || enter=(unshare -r chroot)
command -v ldd >/dev/null || { echo "SKIPPED: ldd is not installed"; exit 0; }
"${enter[@]}" / true 2>/dev/null || { echo "SKIPPED: this user may not change the root directory"; exit 0; }

rm -rf "$scratch"; mkdir -p "$scratch/root/data"
cd "$scratch"
python3 "$here/make_inputs.py" .
echo '{"tenon_manifest": 1, "kernels": [{"sdpa": {"dtype": "f32", "head_dim": 64, "causal": true}}]}' >manifest.json
"$build/bin/tenon" cache build manifest.json --target host:x86-64-v3 -o kernels
TENON_CACHE=off TENON_CACHE_PATH=kernels TENON_CACHE_POLICY=must_hit "$build/bin/tenon" sdpa --query q.npy \
  --key k.npy --value v.npy --causal --device host --output outside.npy

install -D "$build/bin/tenon" root/bin/tenon
ldd "$build/bin/tenon" | grep -o '/[^ ]*' | sort -u | while read -r library; do
  install -D "$library" "root$library"
done
cp q.npy k.npy v.npy root/data
cp -r kernels root/kernels
if find root | grep -iE 'llvm|mlir|tenon-compiler|cuda|ptxas'; then
  echo "the root holds what it must not hold"; exit 1
fi
call=(sdpa --query /data/q.npy --key /data/k.npy --value /data/v.npy --causal --device host --json
  --output /data/o.npy)
out=$(TENON_CACHE_PATH=/kernels TENON_CACHE_POLICY=must_hit HOME=/data "${enter[@]}" root /bin/tenon "${call[@]}")
echo "$out"
grep -q '"cache":"disk"' <<<"$out"
cmp root/data/o.npy outside.npy
