#include "interpreter/Blocks.h"
#include "interpreter/ElementwiseOps.h"
#include "interpreter/Value.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace tenon::interpreter {
namespace {

/// Columns that are evaluated at once: three operands and a result of double stay in the first
/// cache.
constexpr int64_t kBlock = 256;
constexpr size_t kMaxOperands = 3;

/// Applies an operation to `count` adjacent elements of each operand.
using BlockFunction = void (*)(int64_t count, void *result, const void *const *operands);

template <auto function> struct Apply;
template <typename Result, typename... Operands, Result (*function)(Operands...)>
struct Apply<function> {
  static void block(int64_t count, void *result, const void *const *operands) {
    block(count, static_cast<Result *>(result), operands, std::index_sequence_for<Operands...>());
  }
  template <size_t... position>
  static void block(int64_t count, Result *result, const void *const *operands,
                    std::index_sequence<position...>) {
    for (int64_t i = 0; i < count; ++i)
      result[i] = function(static_cast<const Operands *>(operands[position])[i]...);
  }
};

/// By the kind of the operand that tells the operation's variants apart; null where there is none.
struct Variants {
  Operation operation;
  BlockFunction real = nullptr, index = nullptr, mask = nullptr;
};

template <auto function> constexpr BlockFunction apply = &Apply<function>::block;

template <typename Real>
constexpr Variants kVariants[] = {
    {Operation::kNegate, apply<&ops::negate<Real>>},
    {Operation::kExp, apply<&ops::exp<Real>>},
    {Operation::kExp2, apply<&ops::exp2<Real>>},
    {Operation::kLog, apply<&ops::log<Real>>},
    {Operation::kTanh, apply<&ops::tanh<Real>>},
    {Operation::kSqrt, apply<&ops::sqrt<Real>>},
    {Operation::kRsqrt, apply<&ops::rsqrt<Real>>},
    {Operation::kAbs, apply<&ops::abs<Real>>},
    {Operation::kSigmoid, apply<&ops::sigmoid<Real>>},
    {Operation::kErf, apply<&ops::erf<Real>>},
    {Operation::kSin, apply<&ops::sin<Real>>},
    {Operation::kCos, apply<&ops::cos<Real>>},
    {Operation::kFloor, apply<&ops::floor<Real>>},
    {Operation::kNot, nullptr, nullptr, apply<&ops::logical_not>},
    {Operation::kConvert, apply<&ops::real_to_index<Real>>, apply<&ops::index_to_real<Real>>,
     apply<&ops::mask_to_real<Real>>},
    {Operation::kAdd, apply<&ops::add<Real>>, apply<&ops::add_index>},
    {Operation::kSubtract, apply<&ops::subtract<Real>>, apply<&ops::subtract_index>},
    {Operation::kMultiply, apply<&ops::multiply<Real>>, apply<&ops::multiply_index>},
    {Operation::kDivide, apply<&ops::divide<Real>>},
    {Operation::kMinimum, apply<&ops::minimum<Real>>, apply<&ops::minimum_index>},
    {Operation::kMaximum, apply<&ops::maximum<Real>>, apply<&ops::maximum_index>},
    {Operation::kPower, apply<&ops::power<Real>>},
    {Operation::kFloorDivide, nullptr, apply<&ops::floor_divide>},
    {Operation::kModulo, nullptr, apply<&ops::modulo>},
    {Operation::kAnd, nullptr, nullptr, apply<&ops::logical_and>},
    {Operation::kOr, nullptr, nullptr, apply<&ops::logical_or>},
    {Operation::kEqual, apply<&ops::equal<Real>>, apply<&ops::equal<int32_t>>},
    {Operation::kNotEqual, apply<&ops::not_equal<Real>>, apply<&ops::not_equal<int32_t>>},
    {Operation::kLess, apply<&ops::less<Real>>, apply<&ops::less<int32_t>>},
    {Operation::kLessEqual, apply<&ops::less_equal<Real>>, apply<&ops::less_equal<int32_t>>},
    {Operation::kGreater, apply<&ops::greater<Real>>, apply<&ops::greater<int32_t>>},
    {Operation::kGreaterEqual, apply<&ops::greater_equal<Real>>,
     apply<&ops::greater_equal<int32_t>>},
    {Operation::kWhere, apply<&ops::where<Real>>, apply<&ops::where<int32_t>>,
     apply<&ops::where<bool>>},
};

template <typename Real> BlockFunction find_variant(Operation operation, ElementKind kind) {
  const auto *found = std::ranges::find(kVariants<Real>, operation, &Variants::operation);
  assert(found != std::end(kVariants<Real>) && "an element-wise operation that the table lacks");
  const BlockFunction by_kind[] = {found->real, found->index, found->mask};
  return by_kind[static_cast<size_t>(kind)];
}

/// One operand, read in blocks of adjacent elements.
template <typename Real> class Reader {
public:
  Reader() = default;
  Reader(const Value &value, ElementKind kind)
      : value_(&value), bytes_(element_bytes<Real>(kind)) {}

  const void *read(int64_t row_offset, int64_t column, int64_t count, std::byte *scratch) const {
    const int64_t stride = value_->strides[3];
    const auto *first = static_cast<const std::byte *>(value_->data) +
                        (row_offset + column * stride) * static_cast<int64_t>(bytes_);
    if (stride == 1 || count == 1)
      return first;
    if (bytes_ == 1)
      gather<uint8_t>(first, stride, count, scratch);
    else if (bytes_ == 4)
      gather<uint32_t>(first, stride, count, scratch);
    else
      gather<uint64_t>(first, stride, count, scratch);
    return scratch;
  }
  int64_t row_offset(int64_t batch, int64_t head, int64_t row) const {
    return value_->at(batch, head, row, 0);
  }

private:
  /// By bits: the elements are copied, never computed with.
  template <typename Bits>
  static void gather(const std::byte *first, int64_t stride, int64_t count, std::byte *scratch) {
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(scratch + i * int64_t{sizeof(Bits)}, first + i * stride * int64_t{sizeof(Bits)},
                  sizeof(Bits));
  }
  const Value *value_ = nullptr;
  size_t bytes_ = 0;
};

template <typename Real> struct Job {
  BlockFunction function;
  std::array<Reader<Real>, kMaxOperands> readers;
  size_t operand_count;
  ValueShape shape;
  std::byte *result;
  size_t result_bytes;

  void run_row(int64_t index) const {
    const int64_t row = index % shape[2], head = index / shape[2] % shape[1],
                  batch = index / shape[2] / shape[1];
    alignas(64) std::byte scratch[kMaxOperands][kBlock * sizeof(double)];
    int64_t offsets[kMaxOperands];
    for (size_t o = 0; o < operand_count; ++o)
      offsets[o] = readers[o].row_offset(batch, head, row);
    for (int64_t column = 0; column < shape[3]; column += kBlock) {
      const int64_t count = std::min(kBlock, shape[3] - column);
      const void *blocks[kMaxOperands];
      for (size_t o = 0; o < operand_count; ++o)
        blocks[o] = readers[o].read(offsets[o], column, count, scratch[o]);
      function(count, result + (index * shape[3] + column) * static_cast<int64_t>(result_bytes),
               blocks);
    }
  }
};

} // namespace

template <typename Real> TENON_EVALUATION(elementwise) {
  assert(operands.size() <= kMaxOperands);
  const auto kind_of = [&](size_t position) {
    return evaluation.graph.type(node.operands[position]).kind;
  };
  auto fresh = allocate(shape, element_bytes<Real>(node.type.kind));
  if (!fresh)
    return fresh.error();

  const ElementKind variant = kind_of(node.operation == Operation::kWhere ? 1 : 0);
  Job<Real> job{.function = find_variant<Real>(node.operation, variant),
                .readers = {},
                .operand_count = operands.size(),
                .shape = shape,
                .result = fresh->template elements<std::byte>(),
                .result_bytes = element_bytes<Real>(node.type.kind)};
  for (size_t o = 0; o < operands.size(); ++o)
    job.readers[o] = Reader<Real>(operands[o], kind_of(o));

  constexpr int64_t kStepsPerElement = 4;
  for_blocks(shape[0] * shape[1] * shape[2], shape[3] * kStepsPerElement,
             [&](int64_t first, int64_t last) {
               for (int64_t row = first; row < last; ++row)
                 job.run_row(row);
             });
  return std::move(fresh->value);
}

TENON_INSTANTIATE_EVALUATION(elementwise);

} // namespace tenon::interpreter
