#include "CompiledKernel.h"

#include "compiler/Precompiled.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cstring>
#include <sys/mman.h>

using namespace mlir;

namespace tenon::test {

std::vector<std::string> runnableTargets() {
  std::vector<std::string> targets;
  if (__builtin_cpu_supports("x86-64-v3"))
    targets.push_back("host:x86-64-v3");
  if (__builtin_cpu_supports("x86-64-v4"))
    targets.push_back("host:x86-64-v4");
  return targets;
}

std::unique_ptr<MLIRContext> makeContext() {
  DialectRegistry registry;
  registry.insert<tile::TileDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect,
                  func::FuncDialect>();
  registerHostTranslations(registry);
  auto context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  return context;
}

CompiledKernel::CompiledKernel(ModuleOp module, const std::string &target) {
  compile(module, target);
}

CompiledKernel::CompiledKernel(MLIRContext &context, const std::string &text,
                               const std::string &target) {
  auto module = parseSourceString<ModuleOp>(text, &context);
  EXPECT_TRUE(module);
  if (module)
    compile(*module, target);
}

void CompiledKernel::compile(ModuleOp module, const std::string &name) {
  auto target = HostTarget::named(name);
  ASSERT_TRUE(static_cast<bool>(target)) << llvm::toString(target.takeError());
  PassManager passes(module.getContext());
  buildHostPipeline(passes, *target);
  ASSERT_TRUE(succeeded(passes.run(module)));
  auto code = emitHostCode(module, *target);
  ASSERT_TRUE(static_cast<bool>(code)) << llvm::toString(code.takeError());

  bytes_ = code->bytes.size();
  code_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code_, MAP_FAILED);
  std::memcpy(code_, code->bytes.data(), bytes_);
  ASSERT_EQ(mprotect(code_, bytes_, PROT_READ | PROT_EXEC), 0);
  constexpr size_t kAlignment = 64;
  size_t space = code->entries.front().workspaceBytes + kAlignment;
  workspace_ = std::make_unique<std::byte[]>(space);
  alignedWorkspace_ = workspace_.get();
  std::align(kAlignment, code->entries.front().workspaceBytes, alignedWorkspace_, space);
  entry_ = reinterpret_cast<HostEntry>(static_cast<std::byte *>(code_) + code->entries.front().offset);
}

CompiledKernel::~CompiledKernel() {
  if (code_ && code_ != MAP_FAILED)
    munmap(code_, bytes_);
}

void CompiledKernel::run(const KernelArguments &arguments, int32_t x, int32_t y, int32_t z) const {
  if (entry_)
    entry_(&arguments, alignedWorkspace_, x, y, z);
}

} // namespace tenon::test
