#include "tensor/DLPackLayout.h"

#include <gtest/gtest.h>

#if __has_include(<dlpack/dlpack.h>)
#include "tenon/DLPack.h" // stands beside the real header, in either order
#include <dlpack/dlpack.h>

namespace tenon {

static_assert(sizeof(dlpack::Device) == sizeof(DLDevice));
static_assert(offsetof(dlpack::Device, ordinal) == offsetof(DLDevice, device_id));
static_assert(sizeof(dlpack::ElementType) == sizeof(DLDataType));
static_assert(offsetof(dlpack::ElementType, bits) == offsetof(DLDataType, bits));
static_assert(offsetof(dlpack::ElementType, lanes) == offsetof(DLDataType, lanes));
static_assert(sizeof(dlpack::TensorView) == sizeof(DLTensor));
static_assert(offsetof(dlpack::TensorView, data) == offsetof(DLTensor, data));
static_assert(offsetof(dlpack::TensorView, device) == offsetof(DLTensor, device));
static_assert(offsetof(dlpack::TensorView, rank) == offsetof(DLTensor, ndim));
static_assert(offsetof(dlpack::TensorView, dtype) == offsetof(DLTensor, dtype));
static_assert(offsetof(dlpack::TensorView, shape) == offsetof(DLTensor, shape));
static_assert(offsetof(dlpack::TensorView, strides) == offsetof(DLTensor, strides));
static_assert(offsetof(dlpack::TensorView, byte_offset) == offsetof(DLTensor, byte_offset));
static_assert(sizeof(dlpack::Managed) == sizeof(DLManagedTensor));
static_assert(offsetof(dlpack::Managed, context) == offsetof(DLManagedTensor, manager_ctx));
static_assert(offsetof(dlpack::Managed, deleter) == offsetof(DLManagedTensor, deleter));
static_assert(int{dlpack::kCpu} == int{kDLCPU} && int{dlpack::kCuda} == int{kDLCUDA});
static_assert(int{dlpack::kCudaHost} == int{kDLCUDAHost} &&
              int{dlpack::kCudaManaged} == int{kDLCUDAManaged});
static_assert(int{dlpack::kInt} == int{kDLInt} && int{dlpack::kFloat} == int{kDLFloat});
static_assert(int{dlpack::kBFloat} == int{kDLBfloat});
#ifdef DLPACK_MAJOR_VERSION
static_assert(sizeof(dlpack::ManagedVersioned) == sizeof(DLManagedTensorVersioned));
static_assert(offsetof(dlpack::ManagedVersioned, deleter) ==
              offsetof(DLManagedTensorVersioned, deleter));
static_assert(offsetof(dlpack::ManagedVersioned, flags) ==
              offsetof(DLManagedTensorVersioned, flags));
static_assert(offsetof(dlpack::ManagedVersioned, tensor) ==
              offsetof(DLManagedTensorVersioned, dl_tensor));
static_assert(dlpack::kFlagReadOnly == DLPACK_FLAG_BITMASK_READ_ONLY &&
              int{dlpack::kBool} == int{kDLBool});
#endif

TEST(DLPackLayout, AProgramWithTheRealHeaderReadsWhatIsExported) {
  Tensor tensor = Tensor::from_values<int32_t>({2, 2}, {1, 2, 3, 4}).value();
  DLManagedTensor *managed = to_dlpack(tensor).value();
  EXPECT_EQ(managed->dl_tensor.device.device_type, kDLCPU);
  EXPECT_EQ(managed->dl_tensor.ndim, 2);
  EXPECT_EQ(managed->dl_tensor.dtype.code, kDLInt);
  EXPECT_EQ(managed->dl_tensor.shape[1], 2);
  EXPECT_EQ(managed->dl_tensor.strides[0], 2);
  EXPECT_EQ(static_cast<int32_t *>(managed->dl_tensor.data)[3], 4);
  managed->deleter(managed);
}

} // namespace tenon

#else
TEST(DLPackLayout, AProgramWithTheRealHeaderReadsWhatIsExported) {
  GTEST_SKIP() << "dlpack.h is not installed";
}
#endif
