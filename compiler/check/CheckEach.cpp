#include "compiler/check/CheckEach.h"

#include "compiler/check/AttentionInterpreter.h"
#include "compiler/check/CheckInputs.h"
#include "compiler/check/KernelLaunch.h"
#include "dialects/attention/Attention.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <cmath>

using namespace mlir;

namespace tenon::check {
namespace {

constexpr double kTolerance = 1e-4;       // of the row's size, between computations in float32
constexpr double kHalfTolerance = 2e-2;   // where probabilities and outputs are rounded to 16 bits

// The functions under test, whatever the passes call them, and what they are: one of attention operations, or the
// kernels of one launch.
struct Subject {
  SmallVector<func::FuncOp> functions;
  enum Form { kAttention, kTile, kOther } form = kOther;

  func::FuncOp front() { return functions.front(); }
};

bool holdsAttention(func::FuncOp function) {
  return function.walk([](Operation *op) {
    return isa_and_nonnull<attention::AttentionDialect>(op->getDialect()) ? WalkResult::interrupt() : WalkResult::advance();
  }).wasInterrupted();
}

Subject subjectOf(Operation *op) {
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  SmallVector<func::FuncOp> graphs, kernels;
  for (func::FuncOp function : module ? llvm::to_vector(module.getOps<func::FuncOp>()) : SmallVector<func::FuncOp>()) {
    if (function->hasAttr("tile.kernel"))
      kernels.push_back(function);
    else if (holdsAttention(function))
      graphs.push_back(function);
  }
  if (!graphs.empty())
    return {graphs, Subject::kAttention};
  return {kernels, kernels.empty() ? Subject::kOther : Subject::kTile};
}

// Why nothing can be executed, else "".
std::string refusalOf(const Subject &subject) {
  if (subject.form == Subject::kOther)
    return "the module holds neither a function of attention operations nor one that is marked tile.kernel: "
           "there is nothing that the interpreters execute";
  if (subject.form == Subject::kAttention && subject.functions.size() > 1)
    return "the module holds " + std::to_string(subject.functions.size()) +
           " functions of attention operations; one at a time is checked";
  if (subject.form == Subject::kTile && KernelLaunch(subject.functions).results() == 0)
    return "the kernel stores nothing: there is no answer to compare";
  return "";
}

std::string shapesOf(const std::vector<Tensor> &inputs) {
  std::string text;
  for (const Tensor &input : inputs)
    text += (text.empty() ? "" : ", ") + std::string(name(input.dtype())) + " " + to_string(input.shape());
  return text;
}

} // namespace

struct CheckState {
  uint64_t seed;
  bool unchanged = true, begun = false, saidLowered = false;
  CheckSizes sizes;
  AttentionLaunch launch;
  std::vector<Tensor> answer;
  bool halfPrecision = false;

  void begin(Subject subject, Operation *op);
  FailureOr<std::vector<Tensor>> answerOf(Subject subject);
  void compare(Subject subject, StringRef pass, const std::vector<Tensor> &results);
};

void CheckState::begin(Subject subject, Operation *op) {
  begun = true;
  if (std::string why = refusalOf(subject); !why.empty()) {
    emitError(op->getLoc()) << "check-each: " << why; // without the operation, which is the module
    unchanged = false;
    return;
  }
  sizes = sizesFor(subject.front());
  launch.inputs = subject.form == Subject::kTile ? KernelLaunch(subject.functions).inputs(sizes, seed)
                                                 : inputsFor(subject.front(), sizes, seed);
  auto results = answerOf(subject);
  unchanged = succeeded(results);
  if (unchanged)
    answer = *results;
}

FailureOr<std::vector<Tensor>> CheckState::answerOf(Subject subject) {
  if (subject.form == Subject::kAttention)
    return runAttention(subject.front(), launch);
  KernelLaunch kernels(subject.functions);
  halfPrecision |= kernels.isHalfPrecision();
  return kernels.run(sizes, launch);
}

// Names the first element, in the order of its indices, that is not what it was.
void CheckState::compare(Subject subject, StringRef pass, const std::vector<Tensor> &results) {
  double tolerance = halfPrecision ? kHalfTolerance : kTolerance;
  for (size_t r = 0; r < answer.size(); ++r) {
    Tensor before = answer[r].to(DataType::kFloat32).value(), after = results[r].to(DataType::kFloat32).value();
    double largest = 1;
    for (int64_t i = 0; i < before.element_count(); ++i)
      if (std::isfinite(before.data_as<float>()[i]))
        largest = std::max<double>(largest, std::fabs(before.data_as<float>()[i]));
    for (int64_t i = 0; i < before.element_count(); ++i) {
      float was = before.data_as<float>()[i], is = after.data_as<float>()[i];
      if (was == is || (std::isnan(was) && std::isnan(is)) || std::fabs(was - is) <= tolerance * largest)
        continue;
      unchanged = false;
      std::vector<int64_t> index;
      for (int64_t rest = i, d = before.rank() - 1; d >= 0; --d) {
        index.insert(index.begin(), rest % before.shape()[d]);
        rest /= before.shape()[d];
      }
      emitError(subject.front().getLoc()) << "check-each: '" << pass << "' changed the answer: element " << to_string(index)
                                   << " of result " << r << " was " << was << ", is " << is << " (seed " << seed
                                   << "; inputs " << shapesOf(launch.inputs) << ")";
      return;
    }
  }
}

CheckEach::CheckEach(uint64_t seed) : state_(std::make_shared<CheckState>()) {
  state_->seed = seed;
  state_->launch.seed = seed;
  state_->launch.offset = 3;
}
CheckEach::~CheckEach() = default;

std::shared_ptr<const bool> CheckEach::unchanged() const { return {state_, &state_->unchanged}; }

void CheckEach::runBeforePass(Pass *, Operation *op) {
  if (!state_->begun)
    state_->begin(subjectOf(op), op);
}

void CheckEach::runAfterPass(Pass *pass, Operation *op) {
  if (!state_->unchanged)
    return;
  Subject subject = subjectOf(op);
  if (subject.form == Subject::kOther) {
    if (!state_->saidLowered)
      emitRemark(op->getLoc()) << "check-each: from '" << pass->getArgument() << "' on the IR is no longer executed";
    state_->saidLowered = true;
    return;
  }
  auto results = state_->answerOf(subject);
  if (failed(results)) {
    state_->unchanged = false;
    return;
  }
  state_->compare(subject, pass->getArgument(), *results);
}

} // namespace tenon::check
