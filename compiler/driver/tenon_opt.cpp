// tenon-opt: one pass, or the pipeline, on IR from a file.
//
//     tenon compile --head-dim 64 --causal --target sm_80 --emit attention -o attention.mlir
//     tenon-opt attention.mlir --choose-schedule=target=sm_80 --tile-attention --check-each

#include "compiler/driver/Pipeline.h"

#ifdef TENON_WITH_CHECK
#include "compiler/check/CheckEach.h"
#endif

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"
#include "mlir/Support/FileUtilities.h"

using namespace mlir;

// Of a plugin that it cannot load MLIR says so on standard error, and goes on: a run without it is not what was asked for.
template <class Plugin> static bool areLoaded(StringRef option) {
  auto &options = llvm::cl::getRegisteredOptions();
  auto found = options.find(option);
  if (found == options.end())
    return true;
  for (const std::string &path : *static_cast<llvm::cl::list<std::string> *>(found->second))
    if (auto plugin = Plugin::load(path); !plugin) {
      llvm::errs() << "error: --" << option << ": " << llvm::toString(plugin.takeError()) << '\n';
      return false;
    }
  return true;
}

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
  if (!areLoaded<PassPlugin>("load-pass-plugin") || !areLoaded<DialectPlugin>("load-dialect-plugin"))
    return EXIT_FAILURE;
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
