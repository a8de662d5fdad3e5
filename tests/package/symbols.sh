#!/usr/bin/env bash
# What the libraries show: names of Tenon and of the C++ library's templates, no others; the compiler shows one, the
# emulated driver those of the driver API and its own.
# Each has a versioned soname, and none looks for others in the current directory.
set -euo pipefail
build=$1 version=$2
failed=0
fail() {
  echo "$1"
  failed=1
}
for library in tenon-runtime tenon tenon-compiler; do
  file=$build/lib/lib$library.so
  [ -e "$file" ] || continue # without LLVM there is no compiler
  readelf -d "$file" | grep -q "SONAME.*\[lib$library.so.$version\]" || fail "$file has no soname of version $version"
  names=$(nm -D --defined-only "$file" | cut -d' ' -f3- | c++filt)
  if [ $library = tenon-compiler ]; then
    [ "$names" = tenon_compiler_interface ] || fail "$file shows: $names"
  elif others=$(grep -vE '\b(tenon|std|__gnu_cxx)::' <<<"$names"); then
    fail "$file shows: $others"
  fi
done
names=$(nm -D --defined-only "$build"/lib/tenon/emulated/libcuda.so.1 | cut -d' ' -f3-)
if others=$(grep -vE '^(cu[A-Z]|tenonEmulator[A-Z])' <<<"$names"); then
  fail "libcuda.so.1 shows: $others"
fi
for file in "$build"/bin/tenon "$build"/lib/lib*.so "$build"/lib/tenon/emulated/lib*.so*; do
  path=$(readelf -d "$file" | sed -n 's/.*R\(UN\)\?PATH.*\[\(.*\)\]/\2/p')
  [[ ":$path:" != *::* || -z $path ]] || fail "$file looks for libraries in the current directory: $path"
done
exit $failed
