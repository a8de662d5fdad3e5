#include "compiler/driver/Compile.h"

#include "compiler/attention/Effects.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/Refusal.h"
#include "compiler/driver/Emission.h"
#include "compiler/driver/PassLog.h"
#include "compiler/driver/Pipeline.h"
#include "compiler/driver/Request.h"
#include "compiler/driver/SideBySide.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace tenon;

namespace {

const DialectRegistry &dialects() {
  static const DialectRegistry *registry = [] {
    auto *made = new DialectRegistry; // outlives all threads
    registerDialects(*made);
    return made;
  }();
  return *registry;
}

Stage stageOf(Emit emit) {
  if (emit == Emit::kAttention)
    return Stage::kAttention;
  return emit == Emit::kTile ? Stage::kTile : Stage::kDevice;
}

CompileAnswer wrong(llvm::Error error) { return {TENON_FAILED, llvm::toString(std::move(error)), {}}; }
CompileAnswer wrongOption(const Request &request, std::string why) {
  return {TENON_REFUSED, "the graph is not compiled for " + request.target, {{kOptions.str(), std::move(why)}}};
}

// Errors become reasons; a refusal says who refused.
class ReasonCollector {
public:
  explicit ReasonCollector(MLIRContext *context)
      : handler_(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
            return success();
          llvm::StringRef who = whoRefused(diagnostic);
          refused_ |= !who.empty();
          Reason reason{who.empty() ? "compiler" : who.str(), diagnostic.str()};
          // The kernels for many queries and for few are refused for the same.
          if (!llvm::is_contained(reasons_, reason))
            reasons_.push_back(std::move(reason));
          return success();
        }) {}

  CompileAnswer answer(llvm::StringRef target) const {
    std::string message = refused_ ? "the graph is not compiled for " + target.str()
                                   : "the compiler failed on the graph for " + target.str();
    return {refused_ ? TENON_REFUSED : TENON_FAILED, message, reasons_};
  }

private:
  std::vector<Reason> reasons_;
  bool refused_ = false;
  ScopedDiagnosticHandler handler_;
};

CompileAnswer compile(const Request &request, MLIRContext &context) {
  ReasonCollector reasons(&context);
  ParserConfig config(&context);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(request.graph.text(), config);
  if (!module)
    return reasons.answer(request.target);
  auto functions = module->getOps<func::FuncOp>();
  if (failed(attachSignature(*functions.begin(), request.signature)))
    return reasons.answer(request.target);
  if (llvm::Error error = leaveOut(*functions.begin(), request.without))
    return wrongOption(request, llvm::toString(std::move(error)));

  PassManager passes(&context);
  logPasses(passes);
#ifdef NDEBUG
  passes.enableVerifier(false);
#endif
  PipelineOptions options{request.target, request.tileQueries, request.tileKeys, request.queryGroups, request.stages,
                          request.warps,  request.rescaling,   request.shared};
  Stage last = stageOf(request.emit);
  if (last != Stage::kDevice) {
    if (llvm::Error error = buildPipeline(passes, options, last))
      return wrong(std::move(error));
    if (failed(passes.run(*module)))
      return reasons.answer(request.target);
    return {TENON_COMPILED, printed(*module), {}};
  }

  // The launch description stands on the tile kernel, and goes with it.
  if (llvm::Error error = buildPipeline(passes, options, Stage::kTile))
    return wrong(std::move(error));
  if (failed(passes.run(*module)))
    return reasons.answer(request.target);
  llvm::Expected<KernelDescription> kernel = describeKernel(*module, request);
  if (!kernel)
    return wrong(kernel.takeError());
  PassManager device(&context);
  if (llvm::Error error = buildDevicePipeline(device, request.target))
    return wrong(std::move(error));
  if (failed(runSideBySide(*module, device, [](PassManager &apart) {
        logPasses(apart);
        apart.enableVerifier(false);
      })))
    return reasons.answer(request.target);
  llvm::Expected<std::string> bytes = emitDevice(*module, request, *kernel);
  if (!bytes)
    return wrong(bytes.takeError());
  return {TENON_COMPILED, std::move(*bytes), {}};
}

} // namespace

std::string CompileAnswer::payload() const {
  if (status == TENON_COMPILED)
    return bytes;
  llvm::json::Array list;
  for (const Reason &reason : reasons)
    list.push_back(llvm::json::Object{{"what", llvm::json::fixUTF8(reason.what)},
                                      {"why", llvm::json::fixUTF8(reason.why)}});
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(
      llvm::json::Object{{"message", llvm::json::fixUTF8(bytes)}, {"reasons", std::move(list)}});
  return text;
}

CompileAnswer tenon::compileRequest(llvm::StringRef text) {
  llvm::Expected<Request> request = Request::parse(text);
  if (!request)
    return wrong(request.takeError());
  if (!request->wrongOption.empty())
    return wrongOption(*request, request->wrongOption);
  MLIRContext context(dialects(), MLIRContext::Threading::DISABLED);
  return compile(*request, context);
}
