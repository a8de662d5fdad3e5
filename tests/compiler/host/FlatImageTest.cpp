// What a flat image must refuse.
#include "CompiledKernel.h"

#include "compiler/Precompiled.h"

#include "mlir/Parser/Parser.h"

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

TEST(HostTargetTest, AnUnknownLevelIsRefused) {
  auto target = HostTarget::named("host:x86-64-v9");
  ASSERT_FALSE(static_cast<bool>(target));
  EXPECT_NE(llvm::toString(target.takeError()).find("host:x86-64-v4"), std::string::npos);
}

} // namespace
