#include "compiler/check/Elements.h"

#include "dialects/tile/Tile.h"
#include "tenon/Tensor.h"

using namespace mlir;

namespace tenon::check {

Elements Elements::zeros(Type type) {
  Elements elements;
  int64_t count = 1;
  elements.elementType = type;
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    elements.elementType = tensor.getElementType();
    elements.shape.assign(tensor.getShape().begin(), tensor.getShape().end());
    count = tensor.getNumElements();
  }
  if (auto shared = dyn_cast<tile::SharedType>(type)) {
    elements.elementType = shared.getElementType();
    elements.shape.assign(shared.getShape().begin(), shared.getShape().end());
    for (int64_t size : shared.getShape())
      count *= size;
  }
  if (elements.isReal())
    elements.reals.resize(count);
  else
    elements.integers.resize(count);
  return elements;
}

void Elements::resizeLike(const Elements &other) {
  shape = other.shape;
  if (isReal())
    reals.assign(other.size(), 0);
  else
    integers.assign(other.size(), 0);
}

double roundTo(Type type, double value) {
  if (type.isF32())
    return static_cast<float>(value);
  if (type.isF64())
    return value;
  DataType dtype = type.isBF16() ? DataType::kBFloat16 : DataType::kFloat16;
  uint16_t bits;
  store_from_double(&bits, dtype, value);
  return load_as_double(&bits, dtype);
}

int64_t wrapTo(Type type, int64_t value) {
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  if (width == 1)
    return value & 1;
  if (width >= 64)
    return value;
  return static_cast<int64_t>(static_cast<uint64_t>(value) << (64 - width)) >> (64 - width);
}

DataType dataTypeOf(Type type) {
  if (type.isF16())
    return DataType::kFloat16;
  if (type.isBF16())
    return DataType::kBFloat16;
  if (type.isInteger(1))
    return DataType::kBool;
  return type.isInteger(32) ? DataType::kInt32 : DataType::kFloat32;
}

} // namespace tenon::check
