/// What stands behind a Function.
#pragma once

#include "GraphFacts.h"
#include "Plan.h"
#include "tenon/Function.h"

#include <memory>
#include <mutex>

namespace tenon {

struct Function::State {
  State(TracedGraph traced, CompileOptions given)
      : facts(GraphFacts::of(std::move(traced))), options(std::move(given)) {}

  using References = std::span<const TensorReference>;

  /// The plan of a call: from the table, or made now. `temporary` holds one that the table cannot
  /// take.
  Result<const Plan *> plan_for(References outputs, References inputs,
                                std::unique_ptr<Plan> &temporary);
  Status run(const Plan &plan, References outputs, References inputs,
             const LaunchOptions &launch) const;
  /// Refuses an output that surely overlaps an input or an earlier output. (Views that lie between
  /// each other's elements may share a range of addresses.)
  Status check_apart(const Plan &plan, References outputs, References inputs) const;
  /// A call whose inputs lie where it runs, and whose results are made there.
  struct PlacedCall {
    std::vector<Tensor> inputs, results;
    std::unique_ptr<Plan> temporary; ///< holds the plan where the table cannot take it
    const Plan *plan = nullptr;
  };
  using MakeTensor = Result<Tensor> (*)(Shape, DataType, DeviceLocation);
  Result<PlacedCall> place(References inputs, MakeTensor make_result);

  /// Copies to the named device what does not lie there.
  Result<std::vector<Tensor>> placed(References inputs) const;
  Explanation latest() const;

  const GraphFacts facts;
  const CompileOptions options;

private:
  Status launch_kernel(const Plan &plan, References outputs, References inputs,
                       const LaunchOptions &launch) const;
  Status interpret_into(const Plan &plan, References outputs, References inputs,
                        const LaunchOptions &launch) const;
  Result<double> scalar_value(size_t scalar, const LaunchOptions &launch) const;
  Status check_scalars(const LaunchOptions &launch) const;
  Status set_scalars(const Plan &plan, const LaunchOptions &launch,
                     KernelArguments &arguments) const;

public:
  PlanTable plans;

private:
  mutable std::mutex latest_mutex_;
  Explanation latest_;
  bool decided_ = false;
};

/// How the rest of the library reaches the state.
struct FunctionAccess {
  static Result<Function> make(TracedGraph traced, CompileOptions options);
};

} // namespace tenon
