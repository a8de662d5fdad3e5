#!/usr/bin/env bash
# The README's section for release engineers, followed word by word: every command of it, in its order.
set -euo pipefail
build=$1 scratch=$2 source=$3
here=$(dirname "$(readlink -f "$0")")
rm -rf "$scratch"; mkdir -p "$scratch/home"
cd "$scratch"
python3 "$here/make_inputs.py" .
# Lines of the section's console blocks; what does not begin with "$ " belongs to the command before it.
awk '/^## / {section = /^## Kernels built ahead/}
     section && /^```/ {block = /console/; next}
     section && block {sub(/^\$ /, ""); print}' "$source/README.md" >commands
grep -q 'tenon cache build' commands
unset TENON_CACHE TENON_CACHE_DIR TENON_CACHE_PATH TENON_CACHE_POLICY
HOME=$scratch/home XDG_CACHE_HOME= PATH=$build/bin:$PATH bash -euxo pipefail ./commands
