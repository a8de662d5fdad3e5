#include "compiler/host/HostBackend.h"

#include "compiler/host/ExpandMath.h"
#include "compiler/host/FlatImage.h"
#include "compiler/host/LowerTileToVector.h"
#include "compiler/llvm/ProcessOptions.h"
#include "compiler/llvm/ToLLVM.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <mutex>

using namespace mlir;
using namespace tenon;

// Tile kernels => LLVM dialect.
void tenon::buildHostPipeline(OpPassManager &pipeline, const HostTarget &target) {
  // Tiles become vectors over queries, and loops over the rest.
  LowerTileToVectorOptions lowering;
  lowering.lanes = target.lanes;
  lowering.registers = target.registers;
  lowering.pairs = target.hasFastPairs;
  pipeline.addPass(createLowerTileToVector(lowering));
  // No call into a library: the image has no imports.
  ExpandMathOptions math;
  math.avx512 = target.hasAvx512;
  pipeline.addPass(createExpandMath(math));
  // The rest is upstream's.
  pipeline.addPass(createSCFToControlFlowPass());
  pipeline.addPass(createConvertMathToLLVMPass());
  pipeline.addPass(createConvertVectorToLLVMPass());
  pipeline.addPass(createConvertToLLVMPass(scalarsToLLVM()));
  pipeline.addPass(createReconcileUnrealizedCastsPass());
}

void tenon::registerHostPasses() {
  registerLowerTileToVector();
  registerExpandMath();
}

void tenon::registerHostTranslations(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerScalarsToLLVM(registry);
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
    ProcessOptions asTheyAre;
    if (machine.addPassesToEmitFile(passes, stream, nullptr, type, kSkipsVerifier))
      return llvm::createStringError("LLVM cannot emit code of this kind");
  }
  passes.run(module);
  return std::string(buffer.begin(), buffer.end());
}

} // namespace

llvm::Expected<HostCode> tenon::emitHostCode(ModuleOp module, const HostTarget &target,
                                             bool withAssembly) {
  HostCode result;
  for (auto kernel : module.getOps<LLVM::LLVMFuncOp>())
    if (auto bytes = kernel->getAttrOfType<IntegerAttr>(kWorkspaceBytesAttribute))
      result.entries.push_back({kernel.getName().str(), 0, static_cast<uint64_t>(bytes.getInt())});
  if (result.entries.empty())
    return llvm::createStringError("the module has no lowered kernel");
  auto machine = makeTargetMachine(target);
  if (!machine)
    return machine.takeError();

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(module, context, "kernel", kSkipsVerifier);
  if (!code)
    return llvm::createStringError("the kernel could not be translated to LLVM IR");
  code->setTargetTriple((*machine)->getTargetTriple());
  code->setDataLayout((*machine)->createDataLayout());
  code->setPICLevel(llvm::PICLevel::BigPIC);
  for (llvm::Function &function : *code) {
    if (function.isDeclaration())
      continue;
    function.setDSOLocal(true);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    if (target.hasAvx512) { // the level's own tuning prefers 256 bits
      function.addFnAttr("prefer-vector-width", "512");
      function.addFnAttr("min-legal-vector-width", "512");
    }
  }

  if (withAssembly) {
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*code);
    auto text = emit(**machine, *copy, llvm::CodeGenFileType::AssemblyFile);
    if (!text)
      return text.takeError();
    result.assembly = std::move(*text);
  }
  auto object = emit(**machine, *code, llvm::CodeGenFileType::ObjectFile);
  if (!object)
    return object.takeError();
  llvm::SmallVector<llvm::StringRef> names;
  for (const HostEntryPoint &entry : result.entries)
    names.push_back(entry.name);
  auto image = makeFlatImage(llvm::MemoryBufferRef(*object, names.front()), names);
  if (!image)
    return image.takeError();
  result.bytes = std::move(image->bytes);
  for (auto [entry, offset] : llvm::zip_equal(result.entries, image->entryOffsets))
    entry.offset = offset;
  return result;
}
