/// Whether a program, the libraries and the compiler were built from the same headers.
///
/// Among installed files the names say it: `libtenon-runtime.so.0.1`. In a build tree, or where files were copied one
/// by one, an older program may meet a newer library of that name, and each would read the other's objects wrongly.
/// A fingerprint changes with the size of any type that passes between them.
#pragma once

#include "tenon/Api.h"
#include "tenon/Compiler.h"
#include "tenon/Device.h"
#include "tenon/Graph.h"
#include "tenon/KernelCache.h"
#include "tenon/KernelImage.h"
#include "tenon/KernelKey.h"
#include "tenon/KernelStore.h"
#include "tenon/Log.h"
#include "tenon/Signature.h"
#include "tenon/Target.h"
#include "tenon/Tensor.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace tenon {

/// FNV-1a over numbers.
constexpr uint64_t fingerprint_of(std::initializer_list<uint64_t> numbers) {
  uint64_t hash = 0xcbf29ce484222325;
  for (uint64_t number : numbers)
    hash = (hash ^ number) * 0x100000001b3;
  return hash;
}

inline constexpr uint64_t kOperationCount = 0
#define TENON_OPERATION(enumerator, mnemonic, form, formula) +1
#include "tenon/Operations.def"
    ;

/// Of the headers that the including file was compiled with.
constexpr uint64_t kRuntimeFingerprint = fingerprint_of(
    {KernelImage::kFormatVersion, kOperationCount, kAllLogEvents, sizeof(CacheOptions), sizeof(CacheSettings),
     sizeof(CachedKernel), sizeof(CompileOutcome), sizeof(CompileRequest), sizeof(Device), sizeof(Error),
     sizeof(Graph), sizeof(GraphInput), sizeof(InputSignature), sizeof(KernelArguments), sizeof(KernelCacheEntry),
     sizeof(KernelImage), sizeof(KernelKey), sizeof(LaunchDescription), sizeof(LaunchPhase), sizeof(LoadedKernel),
     sizeof(Node), sizeof(Provenance), sizeof(Result<Tensor>), sizeof(Signature), sizeof(StoredKernel),
     sizeof(Target), sizeof(Tensor)});

/// Of the headers that the library was compiled with which the process runs.
TENON_API uint64_t runtime_fingerprint() noexcept;

} // namespace tenon
