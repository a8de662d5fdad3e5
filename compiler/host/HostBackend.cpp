#include "compiler/host/HostBackend.h"

#include "compiler/host/AllocateTileRegisters.h"
#include "compiler/host/ExpandMath.h"
#include "compiler/host/FlatImage.h"
#include "compiler/host/LowerTileToVector.h"
#include "compiler/host/LowerTileUnits.h"
#include "compiler/llvm/ProcessOptions.h"
#include "compiler/llvm/ToLLVM.h"

#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include "tenon/FloatingPointMode.h"
#include "tenon/Parallel.h"

#include <array>
#include <mutex>
#include <optional>

using namespace mlir;
using namespace tenon;

// Tile kernels => LLVM dialect.
void tenon::buildHostPipeline(OpPassManager &pipeline, const HostTarget &target) {
  // Tiles become vectors over queries, and loops over the rest.
  LowerTileToVectorOptions lowering;
  lowering.lanes = target.lanes;
  lowering.registers = target.registers;
  lowering.bfloat16 = target.bfloat16;
  pipeline.addPass(createLowerTileToVector(lowering));
  // Tiles of tile units are values so far. Each gets one of eight registers,
  pipeline.addPass(createAllocateTileRegisters());
  // and products become instructions that name these.
  LowerTileUnitsOptions units;
  units.emulated = target.emulatesTileUnits;
  pipeline.addPass(createLowerTileUnits(units));
  // No call into a library: the image has no imports.
  ExpandMathOptions math;
  math.avx512 = target.hasAvx512;
  pipeline.addPass(createExpandMath(math));
  // The rest is upstream's. Of vectors there are broadcasts alone: none needs the rewrites of upstream's own pass.
  pipeline.addPass(createSCFToControlFlowPass());
  ConvertToLLVMPassOptions toLLVM = scalarsToLLVM();
  llvm::append_range(toLLVM.filterDialects, std::array{"math", "vector"});
  pipeline.addPass(createConvertToLLVMPass(toLLVM));
  pipeline.addPass(createReconcileUnrealizedCastsPass());
}

void tenon::registerHostPasses() {
  registerLowerTileToVector();
  registerAllocateTileRegisters();
  registerLowerTileUnits();
  registerExpandMath();
}

void tenon::registerHostTranslations(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerScalarsToLLVM(registry);
  registerConvertMathToLLVMInterface(registry);
  vector::registerConvertVectorToLLVMInterface(registry);
}

namespace {

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeTargetMachine(const HostTarget &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *x86 = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!x86)
    return llvm::createStringError(error);
  ProcessOptions asTheyAre;
  std::unique_ptr<llvm::TargetMachine> machine(x86->createTargetMachine(
      triple, target.cpu, target.features, llvm::TargetOptions(), llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
  if (!machine)
    return llvm::createStringError("LLVM makes no code for " + target.name);
  return machine;
}

llvm::Expected<std::string> emit(llvm::TargetMachine &machine, llvm::Module &module,
                                 llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> buffer;
  llvm::raw_svector_ostream stream(buffer);
  llvm::legacy::PassManager passes;
  {
    // Loop strength reduction would take a quarter of LLVM's time, and the loops run as fast without it: their
    // addresses are made of a base and an index as they are lowered.
    ProcessOptions without({"disable-lsr"});
    if (machine.addPassesToEmitFile(passes, stream, nullptr, type, kSkipsVerifier))
      return llvm::createStringError("LLVM cannot emit code of this kind");
  }
  passes.run(module);
  return std::string(buffer.begin(), buffer.end());
}

// LLVM IR, and the machine that it becomes code for.
class Translated {
public:
  llvm::Error translate(ModuleOp module, const HostTarget &target);
  llvm::Expected<std::string> emit(llvm::CodeGenFileType type) { return ::emit(*machine_, *code_, type); }
  std::string text() const { return printed(*code_); }

private:
  llvm::LLVMContext context_;
  std::unique_ptr<llvm::Module> code_;
  std::unique_ptr<llvm::TargetMachine> machine_;
};

llvm::Error Translated::translate(ModuleOp module, const HostTarget &target) {
  auto machine = makeTargetMachine(target);
  if (!machine)
    return machine.takeError();
  machine_ = std::move(*machine);
  code_ = translateModuleToLLVMIR(module, context_, "kernel", kSkipsVerifier);
  if (!code_)
    return llvm::createStringError("the kernel could not be translated to LLVM IR");
  code_->setTargetTriple(machine_->getTargetTriple());
  code_->setDataLayout(machine_->createDataLayout());
  code_->setPICLevel(llvm::PICLevel::BigPIC);
  for (llvm::Function &function : *code_) {
    if (function.isDeclaration())
      continue;
    function.setDSOLocal(true);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    if (target.hasAvx512) { // the level's own tuning prefers 256 bits
      function.addFnAttr("prefer-vector-width", "512");
      function.addFnAttr("min-legal-vector-width", "512");
    }
  }
  return llvm::Error::success();
}

// One kernel on its way to code, apart from the others of its module.
struct Part {
  Translated translated;
  std::optional<llvm::Expected<std::string>> object;
};

// After those that are there.
llvm::Error append(HostCode &code, llvm::StringRef object, HostEntryPoint entry) {
  auto image = makeFlatImage(llvm::MemoryBufferRef(object, entry.name), llvm::StringRef(entry.name));
  if (!image)
    return image.takeError();
  uint64_t start = llvm::alignTo(code.bytes.size(), kFlatImageAlignment);
  entry.offset = start + image->entryOffsets.front();
  code.bytes.resize(start);
  llvm::append_range(code.bytes, image->bytes);
  code.entries.push_back(std::move(entry));
  return llvm::Error::success();
}

} // namespace

llvm::Expected<std::string> tenon::emitHostAssembly(ModuleOp module, const HostTarget &target) {
  Translated translated;
  if (llvm::Error error = translated.translate(module, target))
    return error;
  return translated.emit(llvm::CodeGenFileType::AssemblyFile);
}

llvm::Expected<std::string> tenon::emitHostLlvm(ModuleOp module, const HostTarget &target) {
  Translated translated;
  if (llvm::Error error = translated.translate(module, target))
    return error;
  return translated.text();
}

llvm::Expected<HostCode> tenon::emitHostCode(ModuleOp module, const HostTarget &target) {
  SmallVector<LLVM::LLVMFuncOp> kernels = kernelsOf(module, kWorkspaceBytesAttribute);
  if (kernels.empty())
    return llvm::createStringError("the module has no lowered kernel");

  // An LLVM context for each kernel: one is for one thread. However many threads there are, the bytes are the same.
  std::vector<Part> parts(kernels.size());
  for (auto [part, kernel] : llvm::zip_equal(parts, kernels))
    if (llvm::Error error = part.translated.translate(*alone(module, kernel, kWorkspaceBytesAttribute), target))
      return error;
  parallel_for(static_cast<int64_t>(parts.size()), [&](int64_t i) {
    const FloatingPointMode mode(Subnormals::kKept);
    parts[i].object.emplace(parts[i].translated.emit(llvm::CodeGenFileType::ObjectFile));
  });

  HostCode result;
  llvm::Error errors = llvm::Error::success();
  for (auto [part, kernel] : llvm::zip_equal(parts, kernels)) {
    llvm::Expected<std::string> &object = *part.object;
    auto bytes = kernel->getAttrOfType<IntegerAttr>(kWorkspaceBytesAttribute);
    HostEntryPoint entry{kernel.getName().str(), 0, static_cast<uint64_t>(bytes.getInt())};
    errors = llvm::joinErrors(std::move(errors),
                              object ? append(result, *object, std::move(entry)) : object.takeError());
  }
  if (errors)
    return errors;
  return result;
}
