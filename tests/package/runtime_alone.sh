#!/usr/bin/env bash
# Attention from a ready cache in a root that holds a program, the libraries that it links, and the kernels:
# neither LLVM nor the compiler nor the CUDA toolkit. First a program that links the runtime alone, then the command,
# whose answer is that of the machine that compiled.
set -euo pipefail
build=$1 scratch=$2 program=$3
here=$(dirname "$(readlink -f "$0")")
unset TENON_CACHE TENON_CACHE_DIR TENON_CACHE_PATH TENON_CACHE_POLICY
# inside ROOT COMMAND…: with /proc, for what a program sees in /proc/self/maps.
spaces=(unshare -m)
[ "$(id -u)" = 0 ] || spaces=(unshare -rmpf)
inside() { "${spaces[@]}" sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' sh "$@"; }
command -v ldd >/dev/null || { echo "SKIPPED: ldd is not installed"; exit 0; }
inside / true 2>/dev/null || { echo "SKIPPED: this user may not change the root directory"; exit 0; }
if readelf -d "$program" | grep NEEDED | grep -E 'libtenon\.so|compiler|LLVM|MLIR|cuda'; then
  echo "the program links more of Tenon than the runtime"; exit 1
fi

rm -rf "$scratch"; mkdir -p "$scratch/root/data" "$scratch/root/proc"
cd "$scratch"
python3 "$here/make_inputs.py" .
"$program" manifest >graph.json
echo '{"tenon_manifest": 1, "kernels": [{"sdpa": {"dtype": "f32", "head_dim": 64, "causal": true}}]}' >manifest.json
for manifest in graph.json manifest.json; do
  "$build/bin/tenon" cache build $manifest --target host:x86-64-v3 -o kernels
done
TENON_CACHE=off TENON_CACHE_PATH=kernels TENON_CACHE_POLICY=must_hit "$build/bin/tenon" sdpa --query q.npy \
  --key k.npy --value v.npy --causal --device host --output outside.npy

# into_root FILE: at the same path, with the libraries that the loader finds for it.
into_root() {
  install -D "$1" "root$1"
  ldd "$1" | grep -o '/[^ ]*' | sort -u | while read -r library; do
    install -D "$library" "root$library"
  done
}
into_root "$program"
cp -r kernels root/kernels
if find root | grep -iE 'llvm|mlir|tenon-compiler|libtenon\.so|cuda|ptxas|nvjitlink'; then
  echo "the root holds what it must not hold"; exit 1
fi
inside root "$program" attend /kernels
if out=$(inside root "$program" attend /data 2>&1); then
  echo "it ran without a kernel: $out"; exit 1
fi
grep -q 'must_hit forbids' <<<"$out"

into_root "$build/bin/tenon"
cp q.npy k.npy v.npy root/data
call=(sdpa --query /data/q.npy --key /data/k.npy --value /data/v.npy --causal --device host --json
  --output /data/o.npy)
out=$(TENON_CACHE_PATH=/kernels TENON_CACHE_POLICY=must_hit HOME=/data inside root "$build/bin/tenon" "${call[@]}")
echo "$out"
grep -q '"cache":"disk"' <<<"$out"
cmp root/data/o.npy outside.npy
