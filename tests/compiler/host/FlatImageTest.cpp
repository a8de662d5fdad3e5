// What a flat image must refuse.
#include "CompiledKernel.h"

#include "compiler/Precompiled.h"

#include "mlir/Parser/Parser.h"

#include "tenon/Parallel.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace tenon;
using namespace tenon::test;

namespace {

std::string refusalOf(const std::string &text) {
  auto context = makeContext();
  auto module = parseSourceString<ModuleOp>(text, context.get());
  auto target = HostTarget::named("host:x86-64-v3");
  auto code = emitHostCode(*module, *target);
  return code ? "" : llvm::toString(code.takeError());
}

TEST(FlatImageTest, CodeWithoutImportsIsTaken) {
  EXPECT_EQ(
      refusalOf(
          R"(llvm.func @kernel() attributes {tile.workspace_bytes = 0 : i64} { llvm.return })"),
      "");
}

TEST(FlatImageTest, AnImportIsRefusedByName) {
  std::string refusal = refusalOf(R"(
    llvm.func @fmodf(f32, f32) -> f32
    llvm.func @kernel(%p: !llvm.ptr) attributes {tile.workspace_bytes = 0 : i64} {
      %x = llvm.load %p : !llvm.ptr -> f32
      %y = llvm.call @fmodf(%x, %x) : (f32, f32) -> f32
      llvm.store %y, %p : f32, !llvm.ptr
      llvm.return
    })");
  EXPECT_NE(refusal.find("imports fmodf"), std::string::npos) << refusal;
}

TEST(FlatImageTest, DataToBeWrittenIsRefused) {
  std::string refusal = refusalOf(R"(
    llvm.mlir.global internal @counter(1 : i32) : i32
    llvm.func @kernel() attributes {tile.workspace_bytes = 0 : i64} {
      %p = llvm.mlir.addressof @counter : !llvm.ptr
      %x = llvm.load volatile %p : !llvm.ptr -> i32
      llvm.store volatile %x, %p : i32, !llvm.ptr
      llvm.return
    })");
  EXPECT_NE(refusal.find("data to be written to"), std::string::npos) << refusal;
}

constexpr const char *kTwoKernels = R"(
  llvm.func @first(%p: !llvm.ptr) attributes {tile.workspace_bytes = 64 : i64} {
    %x = llvm.mlir.constant(2.5 : f32) : f32
    llvm.store %x, %p : f32, !llvm.ptr
    llvm.return
  }
  llvm.func @second(%p: !llvm.ptr) attributes {tile.workspace_bytes = 128 : i64} {
    %x = llvm.mlir.constant(0.3 : f32) : f32
    llvm.store %x, %p : f32, !llvm.ptr
    llvm.return
  })";

HostCode codeOf(const std::string &text) {
  auto context = makeContext();
  auto module = parseSourceString<ModuleOp>(text, context.get());
  auto target = HostTarget::named("host:x86-64-v3");
  return llvm::cantFail(emitHostCode(*module, *target));
}

// The bytes are a key's: they may not depend on who makes which kernel, and when.
TEST(FlatImageTest, TheOrderInWhichKernelsAreMadeLeavesNoTrace) {
  HostCode before = codeOf(kTwoKernels);
  int64_t made = 0;
  set_parallel_for([&](int64_t count, FunctionRef<void(int64_t)> body) {
    for (int64_t i = count - 1; i >= 0; --i, ++made)
      body(i);
  });
  HostCode backwards = codeOf(kTwoKernels);
  set_parallel_for({});
  EXPECT_EQ(made, 2);
  EXPECT_EQ(backwards.bytes, before.bytes);
  ASSERT_EQ(before.entries.size(), 2u);
  EXPECT_EQ(before.entries[0].name, "first");
  EXPECT_EQ(before.entries[1].name, "second");
  EXPECT_EQ(before.entries[1].workspaceBytes, 128u);
  EXPECT_LT(before.entries[0].offset, before.entries[1].offset);
  EXPECT_EQ(backwards.entries[1].offset, before.entries[1].offset);
}

TEST(HostTargetTest, AnUnknownLevelIsRefused) {
  auto target = HostTarget::named("host:x86-64-v9");
  ASSERT_FALSE(static_cast<bool>(target));
  EXPECT_NE(llvm::toString(target.takeError()).find("host:x86-64-v4"), std::string::npos);
}

} // namespace
