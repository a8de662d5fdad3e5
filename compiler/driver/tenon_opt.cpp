// tenon-opt: one pass, or the pipeline, on IR from a file.
//
//     tenon-opt graph.mlir --attention-pipeline --choose-schedule=target=sm_80 --tile-attention

#include "compiler/driver/Pipeline.h"

#ifdef TENON_WITH_CHECK
#include "compiler/check/CheckEach.h"
#endif

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"
#include "mlir/Support/FileUtilities.h"

using namespace mlir;

int main(int argc, char **argv) {
  llvm::InitLLVM initialized(argc, argv);
  DialectRegistry registry;
  tenon::registerDialects(registry);
  tenon::registerPasses();
#ifdef TENON_WITH_CHECK
  llvm::cl::opt<bool> checkEach("check-each",
                                llvm::cl::desc("Run the IR after each pass, and name the first that changes the answer"));
  llvm::cl::opt<unsigned> checkSeed("check-seed", llvm::cl::desc("Draws the inputs of --check-each"),
                                    llvm::cl::init(0));
#endif
  auto [input, output] = registerAndParseCLIOptions(argc, argv, "Tenon's passes, one by one\n", registry);
  MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  std::shared_ptr<const bool> unchanged = std::make_shared<bool>(true);
#ifdef TENON_WITH_CHECK
  if (checkEach) {
    MlirOptMainConfig given = config;
    config.setPassPipelineSetupFn([&, given](PassManager &passes) {
      auto check = std::make_unique<tenon::check::CheckEach>(checkSeed);
      unchanged = check->unchanged();
      passes.addInstrumentation(std::move(check));
      passes.getContext()->disableMultithreading();
      return given.setupPassPipeline(passes);
    });
  }
#endif
  std::string error;
  auto file = openInputFile(input, &error);
  auto result = file ? openOutputFile(output, &error) : nullptr;
  if (!result) {
    llvm::errs() << error << '\n';
    return EXIT_FAILURE;
  }
  if (failed(MlirOptMain(result->os(), std::move(file), registry, config)))
    return EXIT_FAILURE;
  result->keep();
  return *unchanged ? EXIT_SUCCESS : EXIT_FAILURE;
}
