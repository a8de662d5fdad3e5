#include "Support.h"

#include "tenon/DLPack.h"
#include "tensor/DLPackLayout.h"

namespace tenon {
namespace {

using dlpack::Managed;
using dlpack::ManagedVersioned;
using test::counting;
using test::expect_error;
using test::values;
using testing::ElementsAre;

DLManagedTensor *opaque(Managed *managed) {
  return reinterpret_cast<DLManagedTensor *>(managed);
}
DLManagedTensorVersioned *opaque(ManagedVersioned *managed) {
  return reinterpret_cast<DLManagedTensorVersioned *>(managed);
}
Managed *layout(DLManagedTensor *managed) {
  return reinterpret_cast<Managed *>(managed);
}
ManagedVersioned *layout(DLManagedTensorVersioned *managed) {
  return reinterpret_cast<ManagedVersioned *>(managed);
}

// Another library's tensor of six floats, which counts how often it is released.
template <class Structure> struct Foreign {
  alignas(64) float memory[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  int64_t shape[2] = {2, 3}, strides[2] = {3, 1};
  int released = 0;
  Structure managed{};
  Foreign() {
    managed.tensor = {memory, {dlpack::kCpu, 0}, 2, {dlpack::kFloat, 32, 1}, shape, strides, 0};
    managed.context = this;
    managed.deleter = [](Structure *self) { ++static_cast<Foreign *>(self->context)->released; };
    if constexpr (std::is_same_v<Structure, ManagedVersioned>)
      managed.version = {1, 1};
  }
};

template <class Structure> class DLPack : public testing::Test {};
using Structures = testing::Types<Managed, ManagedVersioned>;
TYPED_TEST_SUITE(DLPack, Structures);

TYPED_TEST(DLPack, ImportSharesMemoryAndReleasesOnceWithTheLastView) {
  Foreign<TypeParam> foreign;
  {
    Tensor tensor = from_dlpack(opaque(&foreign.managed)).value();
    EXPECT_EQ(tensor.data(), foreign.memory);
    EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
    EXPECT_THAT(values(tensor), ElementsAre(0, 1, 2, 3, 4, 5));
    Tensor view = tensor.slice(0, 1, 2).value();
    tensor = {};
    EXPECT_EQ(foreign.released, 0);
    view.data_as<float>()[0] = 9;
    EXPECT_EQ(foreign.memory[3], 9);
  }
  EXPECT_EQ(foreign.released, 1);
}

TYPED_TEST(DLPack, NullStridesAreRowMajor) {
  Foreign<TypeParam> foreign;
  foreign.managed.tensor.strides = nullptr;
  EXPECT_THAT(from_dlpack(opaque(&foreign.managed))->strides(), ElementsAre(3, 1));
}

TYPED_TEST(DLPack, StridesAreKept) {
  Foreign<TypeParam> foreign;
  foreign.strides[0] = 1;
  foreign.strides[1] = 2;
  EXPECT_THAT(values(from_dlpack(opaque(&foreign.managed)).value()), ElementsAre(0, 2, 4, 1, 3, 5));
}

TYPED_TEST(DLPack, ByteOffsetIsAdded) {
  Foreign<TypeParam> foreign;
  foreign.managed.tensor.byte_offset = 8;
  EXPECT_THAT(values(from_dlpack(opaque(&foreign.managed)).value()), ElementsAre(2, 3, 4, 5, 6, 7));
  EXPECT_EQ(foreign.released, 1);
}

TYPED_TEST(DLPack, ADeleterMayBeMissing) {
  Foreign<TypeParam> foreign;
  foreign.managed.deleter = nullptr;
  EXPECT_TRUE(from_dlpack(opaque(&foreign.managed)).ok());
  foreign.managed.tensor.rank = -1;
  EXPECT_FALSE(from_dlpack(opaque(&foreign.managed)).ok());
}

TYPED_TEST(DLPack, ScalarsAndEmptyTensorsAreTaken) {
  Foreign<TypeParam> scalar;
  scalar.managed.tensor.rank = 0;
  scalar.managed.tensor.shape = nullptr;
  EXPECT_EQ(from_dlpack(opaque(&scalar.managed))->item(), 0);
  Foreign<TypeParam> empty;
  empty.shape[0] = 0;
  empty.managed.tensor.data = nullptr;
  EXPECT_EQ(from_dlpack(opaque(&empty.managed))->element_count(), 0);
  EXPECT_EQ(empty.released, 1);
}

TYPED_TEST(DLPack, EveryTypeThatTenonHasIsTaken) {
  struct Case {
    dlpack::ElementType element;
    DataType dtype;
  };
  for (Case test :
       {Case{{dlpack::kFloat, 16, 1}, DataType::kFloat16},
        Case{{dlpack::kFloat, 64, 1}, DataType::kFloat64},
        Case{{dlpack::kBFloat, 16, 1}, DataType::kBFloat16},
        Case{{dlpack::kBool, 8, 1}, DataType::kBool}, Case{{dlpack::kInt, 32, 1}, DataType::kInt32},
        Case{{dlpack::kInt, 64, 1}, DataType::kInt64}}) {
    Foreign<TypeParam> foreign;
    foreign.shape[0] = foreign.shape[1] = 1;
    foreign.managed.tensor.dtype = test.element;
    EXPECT_EQ(from_dlpack(opaque(&foreign.managed))->dtype(), test.dtype);
  }
}

TYPED_TEST(DLPack, DevicesAreTranslated) {
  struct Case {
    int32_t type;
    DeviceLocation location;
  };
  for (Case test : {Case{dlpack::kCpu, {}}, Case{dlpack::kCudaHost, {}},
                    Case{dlpack::kCuda, {DeviceKind::kCuda, 3}},
                    Case{dlpack::kCudaManaged, {DeviceKind::kCuda, 3}}}) {
    Foreign<TypeParam> foreign;
    foreign.managed.tensor.device = {test.type, 3};
    EXPECT_EQ(from_dlpack(opaque(&foreign.managed))->device(), test.location);
  }
}

template <class Structure>
void expect_refusal(void (*damage)(Foreign<Structure> &), ErrorCode code, const std::string &part) {
  SCOPED_TRACE(part);
  Foreign<Structure> foreign;
  damage(foreign);
  expect_error(from_dlpack(opaque(&foreign.managed)), code, part);
  EXPECT_EQ(foreign.released, 1);
}

TYPED_TEST(DLPack, WhatIsRefusedIsReleasedOnce) {
  using F = Foreign<TypeParam>;
  auto refused = expect_refusal<TypeParam>;
  refused([](F &f) { f.managed.tensor.dtype.lanes = 4; }, ErrorCode::kUnsupportedType, "4 lanes");
  refused([](F &f) { f.managed.tensor.dtype.bits = 8; }, ErrorCode::kUnsupportedType, "8 bits");
  refused([](F &f) { f.managed.tensor.dtype.code = 5; }, ErrorCode::kUnsupportedType, "code 5");
  refused(
      [](F &f) {
        f.managed.tensor.dtype = {dlpack::kUnsignedInt, 8, 1};
      },
      ErrorCode::kUnsupportedType, "code 1");
  refused([](F &f) { f.managed.tensor.device.type = 10; }, ErrorCode::kUnsupported,
          "device_type: was 10");
  refused([](F &f) { f.managed.tensor.device.ordinal = -1; }, ErrorCode::kInvalidArgument,
          "device_id: was -1");
  refused([](F &f) { f.managed.tensor.rank = -1; }, ErrorCode::kInvalidArgument, "ndim: was -1");
  refused([](F &f) { f.managed.tensor.rank = 1 << 30; }, ErrorCode::kInvalidArgument, "ndim");
  refused([](F &f) { f.managed.tensor.shape = nullptr; }, ErrorCode::kInvalidArgument,
          "shape: was null");
  refused([](F &f) { f.shape[0] = -2; }, ErrorCode::kInvalidArgument, "shape: was [-2, 3]");
  refused([](F &f) { f.shape[0] = INT64_MAX; }, ErrorCode::kInvalidArgument, "shape");
  refused([](F &f) { f.strides[0] = INT64_MAX; }, ErrorCode::kInvalidArgument, "strides");
  refused([](F &f) { f.managed.tensor.data = nullptr; }, ErrorCode::kInvalidArgument,
          "data: was null");
  refused([](F &f) { f.managed.tensor.byte_offset = 2; }, ErrorCode::kInvalidArgument,
          "not aligned");
  refused([](F &f) { f.managed.tensor.byte_offset = UINT64_MAX; }, ErrorCode::kInvalidArgument,
          "byte_offset");
}

TEST(DLPackVersion, AnotherMajorVersionIsReleasedUnread) {
  Foreign<ManagedVersioned> foreign;
  foreign.managed.version = {2, 0};
  foreign.managed.tensor.shape = reinterpret_cast<int64_t *>(8); // not to be looked at
  expect_error(from_dlpack(opaque(&foreign.managed)), ErrorCode::kUnsupported,
               "version: was 2.0, must be 1.x");
  EXPECT_EQ(foreign.released, 1);
}

TEST(DLPackVersion, LaterMinorVersionsAreTaken) {
  Foreign<ManagedVersioned> foreign;
  foreign.managed.version = {1, 99};
  EXPECT_TRUE(from_dlpack(opaque(&foreign.managed)).ok());
}

TEST(DLPackVersion, ReadOnlyStaysReadOnly) {
  Foreign<ManagedVersioned> foreign;
  foreign.managed.flags = dlpack::kFlagReadOnly;
  Tensor tensor = from_dlpack(opaque(&foreign.managed)).value();
  EXPECT_TRUE(tensor.is_read_only());
  expect_error(tensor.copy_from(counting({2, 3})), ErrorCode::kInvalidArgument, "read-only");
  expect_error(to_dlpack(tensor), ErrorCode::kUnsupported, "read-only");
  auto *again = layout(to_dlpack_versioned(tensor).value());
  EXPECT_EQ(again->flags, dlpack::kFlagReadOnly);
  again->deleter(again);
}

TEST(DLPackExport, KeepsTheMemoryUntilReleased) {
  Tensor tensor = counting({2, 3}).transpose(0, 1).value();
  std::weak_ptr<Tensor::Storage> storage = tensor.storage();
  Managed *legacy = layout(to_dlpack(tensor).value());
  ManagedVersioned *versioned = layout(to_dlpack_versioned(tensor).value());
  void *data = tensor.data();
  tensor = {};
  EXPECT_EQ(legacy->tensor.data, data);
  EXPECT_EQ(versioned->version.major, 1u);
  EXPECT_EQ(versioned->flags, 0u);
  EXPECT_THAT(std::vector(legacy->tensor.strides, legacy->tensor.strides + 2), ElementsAre(1, 3));
  EXPECT_THAT(std::vector(versioned->tensor.shape, versioned->tensor.shape + 2), ElementsAre(3, 2));
  legacy->deleter(legacy);
  EXPECT_FALSE(storage.expired());
  versioned->deleter(versioned);
  EXPECT_TRUE(storage.expired());
}

TEST(DLPackExport, EveryTypeComesBackAsItself) {
  for (DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16,
                         DataType::kBool, DataType::kInt32, DataType::kInt64, DataType::kFloat64}) {
    Tensor tensor = counting({2, 2}, dtype);
    Tensor back = from_dlpack(to_dlpack(tensor).value()).value();
    Tensor again = from_dlpack(to_dlpack_versioned(back).value()).value();
    EXPECT_EQ(again.data(), tensor.data());
    EXPECT_EQ(again.dtype(), dtype);
  }
}

TEST(DLPackExport, EmptyTensorsHaveNoData) {
  auto *managed = layout(to_dlpack(Tensor::empty({0, 2}).value()).value());
  EXPECT_EQ(managed->tensor.data, nullptr);
  managed->deleter(managed);
}

TEST(DLPackExport, Refusals) {
  expect_error(to_dlpack(Tensor()), ErrorCode::kInvalidArgument, "tensor: was undefined");
  expect_error(from_dlpack(static_cast<DLManagedTensor *>(nullptr)), ErrorCode::kInvalidArgument,
               "managed: was null");
  expect_error(from_dlpack(static_cast<DLManagedTensorVersioned *>(nullptr)),
               ErrorCode::kInvalidArgument, "null");
  float memory[1];
  Tensor emulated =
      Tensor::wrap(memory, {1}, {}, DataType::kFloat32, {DeviceKind::kEmulator, 0}).value();
  expect_error(to_dlpack(emulated), ErrorCode::kUnsupported, "emulated device");
  expect_error(to_dlpack_versioned(emulated), ErrorCode::kUnsupported, "emulated device");
}

} // namespace
} // namespace tenon
