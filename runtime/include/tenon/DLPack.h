/// Exchange of tensors with other libraries without a copy, through DLPack
/// (https://dmlc.github.io/dlpack/latest/c_api.html): the versioned form of 1.x and the one before
/// it.
///
/// The structs are only declared here, so that any dlpack.h can be included beside this header.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

struct DLManagedTensor;
struct DLManagedTensorVersioned;

namespace tenon {

/// Takes `managed` over: its deleter (which may be null) is called exactly once, when the last view
/// of the tensor is gone, or before this returns where it returns an error.
///
/// Taken are kDLCPU, kDLCUDAHost (as the host), kDLCUDA and kDLCUDAManaged (as cuda); float16,
/// float32, float64, bfloat16, bool of 8 bits, int32 and int64; one lane; any strides, null for
/// row-major; any byte offset that leaves the elements aligned. Errors: kInvalidArgument,
/// kUnsupportedType, kUnsupported (another device).
TENON_API Result<Tensor> from_dlpack(DLManagedTensor *managed);

/// The same. A read-only flag becomes Tensor::is_read_only(). Another major version than 1 is
/// refused (kUnsupported) without looking at more than the deleter, as the standard asks.
TENON_API Result<Tensor> from_dlpack(DLManagedTensorVersioned *managed);

/// Shares the memory of `tensor` until the receiver calls the deleter.
/// Errors: kUnsupported for a read-only tensor (this form cannot say so) and for emulated devices,
/// whose memory only Tenon can reach.
TENON_API Result<DLManagedTensor *> to_dlpack(const Tensor &tensor);

/// The same as version 1.0, with the read-only flag where the tensor is so.
TENON_API Result<DLManagedTensorVersioned *> to_dlpack_versioned(const Tensor &tensor);

} // namespace tenon
