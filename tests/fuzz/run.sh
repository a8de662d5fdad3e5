#!/usr/bin/env bash
# Runs a fuzzer for some seconds: 10, or 600 where everything is tested, or TENON_FUZZ_SECONDS. What it
# finds interesting stays in the corpus folder, and is where the next run begins.
set -euo pipefail
program=$1 corpus=$2
shift 2
seconds=10
[ -z "${TENON_TEST_ALL:-}" ] || seconds=600
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1
exec "$program" -max_total_time="${TENON_FUZZ_SECONDS:-$seconds}" -timeout=20 -rss_limit_mb=4096 -max_len=4096 \
  -print_final_stats=1 -artifact_prefix="$corpus-" "$corpus" "$@"
