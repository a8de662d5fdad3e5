/// Zero-copy exchange of tensors by DLPack: the legacy structure, and the versioned one of DLPack 1.x.
///
/// The structures are only named here, so that this header stands beside any dlpack.h. Ownership follows
/// the standard: who is given a managed tensor calls its deleter once, when the last Tensor that sees the
/// memory is gone; who makes one keeps the memory alive until its deleter is called.
/// Source: https://dmlc.github.io/dlpack/latest/c_api.html
#pragma once

#include "tenon/Tensor.h"

struct DLManagedTensor;
struct DLManagedTensorVersioned;

namespace tenon {

/// Takes the tensor over on success; on an Error its owner keeps it, and the deleter is not called.
/// Errors: kInvalidArgument (null, no shape, an impossible size), kUnsupportedType (element type, lanes),
/// kUnsupported (device; a major version other than 1).
TENON_API Result<Tensor> from_dlpack(DLManagedTensor *managed);
TENON_API Result<Tensor> from_dlpack(DLManagedTensorVersioned *managed);

/// Whether the producer allowed no writes (the versioned structure's flag).
TENON_API bool dlpack_is_read_only(const DLManagedTensorVersioned *managed);

/// The result's deleter must be called by whoever consumes it.
TENON_API Result<DLManagedTensor *> to_dlpack(const Tensor &tensor);
TENON_API Result<DLManagedTensorVersioned *> to_dlpack_versioned(const Tensor &tensor);

} // namespace tenon
