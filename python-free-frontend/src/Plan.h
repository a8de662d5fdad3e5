/// What a call with tensors of certain sizes does: decided once, then found again by those sizes.
#pragma once

#include "GraphFacts.h"
#include "tenon/Compiler.h"
#include "tenon/Device.h"
#include "tenon/Explanation.h"
#include "tenon/Function.h"
#include "tenon/KernelCache.h"
#include "tenon/ShapeInference.h"
#include "tenon/Signature.h"
#include "tenon/Target.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace tenon {

/// Everything about the tensors of a call except where their memory is: element type, place,
/// alignment, sizes and strides of each, as numbers that are compared word by word.
class CallKey {
public:
  static constexpr int kMaxTensors = 2 * kMaxTensorArguments;
  static constexpr int kWordsPerTensor = 9;

  /// False for a tensor of more than four dimensions, an undefined one, or too many.
  bool add(const Tensor &tensor) {
    const int rank = tensor.rank();
    if (rank > 4 || !tensor.defined() || tensors_ == kMaxTensors)
      return false;
    const DeviceLocation location = tensor.device();
    const uint64_t misaligned = reinterpret_cast<uintptr_t>(tensor.data()) % 16 != 0;
    words_[size_++] = static_cast<int64_t>(
        static_cast<uint64_t>(rank) | uint64_t{static_cast<uint8_t>(tensor.dtype())} << 8 |
        uint64_t{static_cast<uint8_t>(location.kind)} << 16 | misaligned << 24 |
        static_cast<uint64_t>(static_cast<uint32_t>(location.ordinal)) << 32);
    for (int64_t size : tensor.shape())
      words_[size_++] = size;
    for (int64_t stride : tensor.strides())
      words_[size_++] = stride;
    ++tensors_;
    return true;
  }
  std::span<const int64_t> words() const { return {words_, static_cast<size_t>(size_)}; }

  uint64_t hash() const {
    uint64_t sum = 0, factor = 0x9E3779B97F4A7C15u;
    for (int i = 0; i < size_; ++i, factor += 0xC2B2AE3D27D4EB4Eu) // stays odd
      sum += (static_cast<uint64_t>(words_[i]) ^ sum >> 63) * factor;
    return sum ^ sum >> 29;
  }

private:
  int size_ = 0, tensors_ = 0;
  int64_t words_[kMaxTensors * kWordsPerTensor]; // NOLINT: filled as far as size_
};

struct Plan {
  enum class Kind : uint8_t {
    kKernel,  ///< launch
    kEager,   ///< interpret
    kNothing, ///< all results are empty
  };

  struct DataSlot {
    TensorRole role;
    uint32_t position; ///< among the caller's inputs, or the results
  };
  struct ScalarSlot {
    int slot, scalar; ///< KernelArguments::scalars, GraphFacts::scalars
  };

  std::vector<int64_t> words;
  uint64_t hash = 0;
  Kind kind = Kind::kEager;
  Way way = Way::kEager;
  DeviceLocation location; ///< where the tensors must lie for a kernel
  Device *device = nullptr;
  std::shared_ptr<const LoadedKernel> kernel;
  std::vector<DataSlot> data; ///< slot i of the arguments; captured tensors are filled in already
  std::vector<bool> filled;   ///< slots whose pointer stays: captured tensors
  std::vector<ScalarSlot> scalars;
  std::vector<Tensor> captured; ///< where the kernel runs
  size_t argument_bytes = 0;    ///< of `arguments` that a launch copies
  KernelArguments arguments;    // NOLINT: filled as far as argument_bytes
  Explanation explanation;
  std::vector<Shape> result_shapes; ///< rank 4, or 3 for a logsumexp
  std::vector<DataType> result_types;
  std::string shapes; ///< for people
  /// Of each output, then each input: how many bytes from the first element on are the tensor's
  /// without a gap.
  std::vector<uint64_t> own_bytes;
};

/// Plans by their keys: many readers, none of which ever waits; insertions exclude each other.
class PlanTable {
public:
  static constexpr size_t kMaxPlans = size_t{1} << 16;

  PlanTable();
  const Plan *find(std::span<const int64_t> words, uint64_t hash) const {
    const Slots *slots = slots_.load(std::memory_order_acquire);
    for (size_t i = hash & slots->mask;; i = (i + 1) & slots->mask) {
      const Plan *plan = slots->places[i].load(std::memory_order_acquire);
      if (!plan)
        return nullptr;
      if (plan->hash == hash && std::ranges::equal(plan->words, words))
        return plan;
    }
  }
  /// The plan that stands in the table afterwards; null where the table is full.
  const Plan *insert(std::unique_ptr<Plan> &plan);
  template <class Visit> void for_each(Visit visit) const {
    std::lock_guard lock(mutex_);
    for (const std::unique_ptr<Plan> &plan : plans_)
      visit(*plan);
  }

private:
  struct Slots {
    explicit Slots(size_t size) : mask(size - 1), places(new std::atomic<const Plan *>[size]()) {}
    size_t mask;
    std::unique_ptr<std::atomic<const Plan *>[]> places;
  };
  static void place(Slots &slots, const Plan *plan);

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Plan>> plans_;
  std::vector<std::unique_ptr<Slots>> generations_; // outgrown ones may still be read
  std::atomic<const Slots *> slots_;
};

/// Decides what a call does, compiling and loading the kernel. `outputs` may be empty: then the
/// results are taken to be contiguous, of the element types of `result_types`, where the kernel
/// runs.
class Planner {
public:
  Planner(const GraphFacts &facts, const CompileOptions &options)
      : facts_(facts), options_(options) {}

  Result<std::unique_ptr<Plan>> plan(std::span<const TensorReference> outputs,
                                     std::span<const TensorReference> inputs);

  Result<CompileRequest> request(std::span<const TensorReference> inputs, std::string target) const;
  Result<std::vector<Shape>> result_shapes(std::span<const TensorReference> inputs) const;

private:
  struct Call {
    std::vector<Tensor> inputs; ///< as kernels read them: captured ones included, scalars undefined
    GraphShapes shapes;
    std::vector<DataType> types; ///< of the results
    DeviceLocation location;     ///< of the caller's inputs
    bool strided_output = false; ///< an output whose rows are not adjacent
    int64_t batch = 1, heads = 1, key_heads = 1, queries = 1, keys = 1;
  };
  struct Kernel {
    Device *device = nullptr;
    std::shared_ptr<const CachedKernel> cached;
    std::shared_ptr<const LoadedKernel> loaded;
    CacheOutcome outcome = CacheOutcome::kNone;
  };

  Result<Call> understand(std::span<const TensorReference> outputs,
                          std::span<const TensorReference> inputs) const;
  Status check_inputs(std::span<const TensorReference> inputs) const;
  Status check_outputs(std::span<const TensorReference> outputs, const Call &call) const;
  std::vector<Way> ways_to_weigh(const Call &call) const;
  Result<Kernel> kernel_on(Way way, const Call &call, Plan &plan) const;
  Result<Device *> device_for(Way way, const Call &call) const;
  Result<Signature> signature_of(const Call &call, const Target &target) const;
  Status fill(Plan &plan, const Call &call, const Kernel &kernel,
              std::span<const TensorReference> outputs) const;
  Status decide(Way way, const Call &call, Plan &plan,
                std::span<const TensorReference> outputs) const;
  Status check_place(const Call &call, DeviceLocation location) const;
  std::string describe(std::span<const TensorReference> inputs) const;

  const GraphFacts &facts_;
  const CompileOptions &options_;
};

/// The results' element types and sizes where the caller gave no tensors.
std::vector<DataType> default_result_types(const GraphFacts &facts,
                                           std::span<const TensorReference> inputs);
/// "host", "cuda:0"
std::string text_of(DeviceLocation location);
/// A contiguous, aligned tensor without memory: for sizes and strides alone.
Result<Tensor> stand_in(Shape shape, DataType type, DeviceLocation location);
/// [1, 1, rows, width] as a caller with inputs of `rank` dimensions expects it.
Shape result_shape_for_rank(const Shape &shape, bool is_logsumexp, int rank);

} // namespace tenon
