#!/usr/bin/env bash
# Installs what is missing, builds Tenon, and runs the main job: real activations through causal
# attention, compiled from a C++ lambda, on the host and on the emulated CUDA driver.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
case "${1:-}" in
  -h|--help)
    cat <<'HELP'
Usage: ./demo.sh [-- OPTIONS OF tenon-demo]

Installs the Debian packages that are missing (as root or through sudo; TENON_SKIP_INSTALL=1 leaves
packages alone), configures and builds the release preset in build/, and runs build/bin/tenon-demo,
which writes its output tensor to build/demo-output.npy. What is there already is not made again.
HELP
    exit 0 ;;
  --) shift ;;
  '') ;;
  *) echo "demo.sh: unknown option '$1'; see ./demo.sh --help" >&2; exit 2 ;;
esac
cmake/setup.sh --target demo-programs
# A process of its own: it reports the time since its start.
build/bin/tenon-demo --output build/demo-output.npy "$@"
