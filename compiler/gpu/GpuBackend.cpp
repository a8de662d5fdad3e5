#include "compiler/gpu/GpuBackend.h"

#include "compiler/gpu/AssignLayouts.h"
#include "compiler/gpu/LowerTileToNVVM.h"
#include "compiler/gpu/ScaleAfterMaximum.h"
#include "compiler/gpu/StageSharedMemory.h"
#include "compiler/llvm/ProcessOptions.h"
#include "compiler/llvm/ToLLVM.h"

#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Pass.h"
#include "llvm/PassInfo.h"
#include "llvm/PassRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"

#include "tenon/FloatingPointMode.h"
#include "tenon/Parallel.h"

#include <optional>

using namespace mlir;
using namespace tenon;

std::optional<GpuTarget> GpuTarget::find(StringRef name) {
  static const GpuTarget table[] = {
      {"sm_80", "ptx70", 163 << 10},   {"sm_86", "ptx71", 99 << 10},   {"sm_87", "ptx74", 163 << 10},
      {"sm_89", "ptx78", 99 << 10},    {"sm_90", "ptx78", 227 << 10},  {"sm_90a", "ptx80", 227 << 10},
      {"sm_100", "ptx86", 227 << 10},  {"sm_100a", "ptx86", 227 << 10}, {"sm_103", "ptx88", 227 << 10},
      {"sm_103a", "ptx88", 227 << 10}, {"sm_120", "ptx87", 99 << 10},  {"sm_120a", "ptx87", 99 << 10},
      {"sm_121", "ptx88", 99 << 10},   {"sm_121a", "ptx88", 99 << 10},
  };
  for (const GpuTarget &target : table)
    if (target.name == name)
      return target;
  return std::nullopt;
}

void tenon::registerGpuPasses() {
  registerScaleAfterMaximumPasses();
  registerStageSharedMemoryPasses();
  registerAssignLayoutsPasses();
  registerLowerTileToNVVMPasses();
}

void tenon::registerGpuDialects(DialectRegistry &registry) {
  registry.insert<LLVM::LLVMDialect, NVVM::NVVMDialect>();
  registerScalarsToLLVM(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

void tenon::buildGpuPipeline(OpPassManager &passes, const GpuTarget &) {
  // Work that the softmax does not need.
  passes.addNestedPass<func::FuncOp>(createScaleAfterMaximum());
  // What products read goes through shared memory, copies under way while others compute.
  passes.addNestedPass<func::FuncOp>(createStageSharedMemory());
  // What is left in registers has a lane and a register for each element.
  passes.addNestedPass<func::FuncOp>(createAssignLayouts());
  // Tiles are gone: the program of one thread.
  passes.addPass(createLowerTileToNVVM());
  // Upstream's way to the llvm dialect.
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertToLLVMPass(scalarsToLLVM()));
  passes.addPass(createReconcileUnrealizedCastsPass());
}

static llvm::Error refuse(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machineFor(const GpuTarget &target) {
  static const bool initialized = [] {
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)initialized;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!found)
    return refuse(error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast; // a·b + c in one rounding
  ProcessOptions whileMade(StringRef("nvptx-short-ptr")); // 32-bit addresses of shared memory
  return std::unique_ptr<llvm::TargetMachine>(
      found->createTargetMachine(triple, target.name, "+" + target.ptxVersion, options,
                                 llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Default));
}

/// What pays: without them ptxas meets every address and load of the argument block many times.
static void simplify(llvm::Module &module, llvm::TargetMachine &machine,
                     llvm::function_ref<bool(const llvm::Function &)> hoists) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    llvm::FunctionPassManager passes;
    passes.addPass(llvm::EarlyCSEPass());
    if (hoists(function)) {
      llvm::LoopPassManager loopPasses;
      loopPasses.addPass(llvm::LICMPass(llvm::LICMOptions()));
      passes.addPass(llvm::createFunctionToLoopPassAdaptor(std::move(loopPasses), /*UseMemorySSA=*/true));
    }
    passes.run(function, functions);
  }
}

static llvm::Error checkSharedMemory(ModuleOp module, const GpuTarget &target) {
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (auto bytes = function->getAttrOfType<IntegerAttr>(kSharedBytesAttribute))
      if (bytes.getInt() > target.sharedBytes)
        return refuse("the kernel needs " + llvm::Twine(bytes.getInt()) + " bytes of shared memory, " +
                       target.name + " has " + llvm::Twine(target.sharedBytes));
  return llvm::Error::success();
}

namespace {

/// The back end's passes, but for those that pay nothing here: straight-line strength reduction asks of each address
/// which others it is a sum of, a third of all code generation's time, and next to none is. What neighbours may be
/// loaded and stored together is known where copies are made.
class BackEndPasses : public llvm::legacy::PassManager {
public:
  void add(llvm::Pass *pass) override {
    const llvm::PassInfo *known = llvm::PassRegistry::getPassRegistry()->getPassInfo(pass->getPassID());
    if (known && llvm::is_contained({"slsr", "load-store-vectorizer"}, known->getPassArgument()))
      delete pass;
    else
      llvm::legacy::PassManager::add(pass);
  }
};

/// LLVM IR with its passes behind it, and the machine that it becomes PTX for.
class Translated {
public:
  llvm::Error translate(ModuleOp module, const GpuTarget &target);
  std::string text() const { return printed(*code_); }
  llvm::Expected<std::string> ptx(const GpuTarget &target);

private:
  llvm::LLVMContext context_;
  std::unique_ptr<llvm::TargetMachine> machine_;
  std::unique_ptr<llvm::Module> code_;
  bool readsTables_ = false;
};

llvm::Error Translated::translate(ModuleOp module, const GpuTarget &target) {
  auto machine = machineFor(target);
  if (!machine)
    return machine.takeError();
  machine_ = std::move(*machine);
  code_ = translateModuleToLLVMIR(module, context_, "kernel", kSkipsVerifier);
  if (!code_)
    return refuse("translation to LLVM IR failed");
  code_->setTargetTriple(machine_->getTargetTriple());
  code_->setDataLayout(machine_->createDataLayout());
  auto readsTables = [&](const llvm::Function &function) {
    auto kernel = module.lookupSymbol<LLVM::LLVMFuncOp>(function.getName());
    return kernel && kernel->hasAttr(kReadsTablesAttribute);
  };
  readsTables_ = llvm::any_of(*code_, readsTables);
  simplify(*code_, *machine_, [&](const llvm::Function &function) { return !readsTables(function); });
  return llvm::Error::success();
}

llvm::Expected<std::string> Translated::ptx(const GpuTarget &target) {
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  BackEndPasses passes;
  // Loop strength reduction would make an address and distances from it as many addresses, each of two registers all
  // through the loop. Addresses of tables, which fill registers for a short while, gain from it.
  const StringRef keepsAddresses = "disable-lsr";
  {
    ProcessOptions whileMade(readsTables_ ? ArrayRef<StringRef>() : ArrayRef(keepsAddresses));
    if (machine_->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile, kSkipsVerifier))
      return refuse("LLVM cannot write PTX for " + target.name);
  }
  passes.run(*code_);
  return std::string(text);
}

llvm::Expected<std::string> ptxOf(ModuleOp kernel, const GpuTarget &target) {
  Translated translated;
  if (llvm::Error error = translated.translate(kernel, target))
    return error;
  return translated.ptx(target);
}

/// Texts of PTX with a function each as one: version, target and declarations, which stand before the function, are said
/// once, and labels carry the function's number, as in the text of one LLVM module.
class Joined {
public:
  void append(StringRef text) {
    auto [head, function] = text.split("\n\n.visible .entry");
    bool first = count_ == 0;
    for (StringRef line : llvm::split(head, '\n'))
      if (first || (!line.ltrim().starts_with("//") && !said_.contains(line)))
        said_.insert(line), text_ += (line + "\n").str();
    text_ += "\n.visible .entry";
    appendNumbered(function, "$L__BB" + std::to_string(count_++) + "_");
  }
  std::string text() && { return std::move(text_); }

private:
  void appendNumbered(StringRef function, StringRef label) {
    constexpr StringLiteral kLabel = "$L__BB0_";
    for (size_t at; (at = function.find(kLabel)) != StringRef::npos; function = function.substr(at + kLabel.size()))
      text_ += (function.take_front(at) + label).str();
    text_ += function;
  }

  llvm::StringSet<> said_;
  std::string text_;
  int count_ = 0;
};

} // namespace

llvm::Expected<std::string> tenon::emitPtx(ModuleOp module, const GpuTarget &target) {
  if (llvm::Error error = checkSharedMemory(module, target))
    return error;
  SmallVector<LLVM::LLVMFuncOp> kernels = kernelsOf(module, kSharedBytesAttribute);
  if (kernels.empty())
    return refuse("the module has no lowered kernel");
  module.getContext()->enableMultithreading();
  std::vector<std::optional<llvm::Expected<std::string>>> texts(kernels.size());
  parallel_for(static_cast<int64_t>(kernels.size()), [&](int64_t i) {
    const FloatingPointMode mode(Subnormals::kKept);
    texts[i].emplace(ptxOf(*alone(module, kernels[i], kSharedBytesAttribute), target));
  });
  Joined joined;
  llvm::Error errors = llvm::Error::success();
  for (std::optional<llvm::Expected<std::string>> &text : texts)
    if (*text)
      joined.append(**text);
    else
      errors = llvm::joinErrors(std::move(errors), text->takeError());
  if (errors)
    return errors;
  return std::move(joined).text();
}

llvm::Expected<std::string> tenon::emitGpuLlvm(ModuleOp module, const GpuTarget &target) {
  if (llvm::Error error = checkSharedMemory(module, target))
    return error;
  Translated translated;
  if (llvm::Error error = translated.translate(module, target))
    return error;
  return translated.text();
}
