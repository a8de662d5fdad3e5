#!/usr/bin/env bash
# Attention by kernels that the release build made, in TENON_TEST_KERNELS.
set -euo pipefail
if [ -z "${TENON_TEST_KERNELS:-}" ]; then
  echo "SKIPPED: TENON_TEST_KERNELS names no directory of kernels; test.sh makes one"
  exit 0
fi
exec "$1" attend "$TENON_TEST_KERNELS"
