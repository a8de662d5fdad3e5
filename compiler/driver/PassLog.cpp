#include "compiler/driver/PassLog.h"

#include "tenon/Log.h"

#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/FormatVariadic.h"

#include <chrono>
#include <vector>

using namespace mlir;

namespace {

using Clock = std::chrono::steady_clock;

// A pass may hold others: the times begun are a stack.
class PassLog : public PassInstrumentation {
public:
  void runBeforePass(Pass *, Operation *) override { begun_.push_back(Clock::now()); }
  void runAfterPass(Pass *pass, Operation *) override { end(*pass, "ran"); }
  void runAfterPassFailed(Pass *pass, Operation *) override { end(*pass, "failed"); }

private:
  void end(Pass &pass, llvm::StringRef how) {
    std::chrono::duration<double, std::milli> spent = Clock::now() - begun_.back();
    begun_.pop_back();
    if (!pass.getArgument().empty()) // nested pipelines have no name
      tenon::log(tenon::LogEvent::kPass, [&] {
        return llvm::formatv("{0} {1} in {2:f2} ms", pass.getArgument(), how, spent.count()).str();
      });
  }
  std::vector<Clock::time_point> begun_;
};

} // namespace

void tenon::logPasses(PassManager &passes) {
  if (log_enabled(LogEvent::kPass))
    passes.addInstrumentation(std::make_unique<PassLog>());
}
