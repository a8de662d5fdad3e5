#!/usr/bin/env bash
# Installs what is missing, builds Tenon, and runs its tests.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
all=
for argument in "$@"; do
  case "$argument" in
    -h|--help)
      cat <<'HELP'
Usage: ./test.sh [--all]

Sets up and builds as ./demo.sh does, then runs the tests of the release preset, and the runtime alone
under the address and undefined-behaviour sanitizers and under the thread sanitizer.
  --all   adds what is too long for every change: in the release preset the fuzzers for ten minutes each
          (TENON_FUZZ_SECONDS=N for another time), ten times the random conformance shapes and every fault of
          the disk cache; the dev preset, with assertions; the runtime-only preset as its own build; and
          everything under the address sanitizer. It takes some hours on two cores.
It ends with the runner's count and the list of what was skipped, and why.
HELP
      exit 0 ;;
    --all) all=1 ;;
    *) echo "test.sh: unknown option '$argument'; see ./test.sh --help" >&2; exit 2 ;;
  esac
done
export TENON_TEST_DATA=${TENON_TEST_DATA:-$(readlink -m ../shared/data)}
jobs=$(nproc)
results=build/test-results
status=0

cmake/setup.sh
rm -rf $results
mkdir -p $results

# run_tests NAME DIRECTORY [ctest options]: runs, and keeps a JUnit record for the summary below.
run_tests() {
  local name=$1 directory=$2; shift 2
  echo; echo "== $name"
  ctest --test-dir "$directory" -j "$jobs" --output-on-failure --no-tests=error \
    --output-junit "$PWD/$results/$name.xml" "$@" || status=1
}

# The runtime alone knows neither LLVM nor MLIR, so that the sanitizers see every line of it.
sanitized_runtime() {
  local name=$1
  cmake --preset "$name" -B "build/$name" -DTENON_RUNTIME_ONLY=ON >/dev/null
  cmake --build "build/$name" -j "$jobs" --target test_programs
  run_tests "runtime-$name" "build/$name" -LE "fuzz|slow|package"
}

# another_preset NAME [ctest options]: the tests of a preset that --all adds. What cannot be built counts as failed.
another_preset() {
  local name=$1; shift
  cmake --preset "$name" >/dev/null && cmake --build --preset "$name" || { status=1; return; }
  run_tests "$name" "build-$name" "$@"
}

# Generated code for runtimes that have no compiler.
export TENON_TEST_KERNELS=$PWD/build/test-kernels
build/bin/tests/runtime_alone manifest >$results/manifest.json
build/bin/tenon cache build $results/manifest.json --target host:x86-64-v3 --target host:x86-64-v4 \
  --target host:x86-64-v4+bf16 --target host:x86-64-v4+amx -o $TENON_TEST_KERNELS

TENON_TEST_ALL=$all run_tests release build
sanitized_runtime asan
sanitized_runtime tsan
if [ -n "$all" ]; then
  another_preset dev -LE "fuzz|package"
  another_preset runtime-only -LE "fuzz"
  another_preset asan -LE "package"
fi

python3 tests/summary.py $results || status=1
exit $status
