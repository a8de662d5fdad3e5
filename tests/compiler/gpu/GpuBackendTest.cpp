/// Kernels of all widths, types and holes, for all targets: PTX that ptxas takes, without a spill.
#include "compiler/attention/ChooseSchedule.h"
#include "compiler/gpu/GpuBackend.h"
#include "dialects/tile/Tile.h"
#include "kernels/Combine.h"
#include "kernels/FlashForward.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numbers>

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

namespace {

enum class Element { kHalf, kBfloat, kFloat };
enum class Hole { kNone, kCausal, kDropout, kBias };

struct Case {
  Element element = Element::kHalf;
  int64_t width = 64, keys = 64;
  Hole hole = Hole::kNone;
  uint32_t layout = 0;
  int64_t group = 0; ///< few queries: so many heads in a tile of 16 rows, keys in chunks; 0: many queries
  bool logsumexp = true;

  // As GpuSchedule.cpp and GpuCost.cpp choose on every target.
  bool plain() const { return element != Element::kFloat && (hole == Hole::kNone || hole == Hole::kCausal); }
  bool laneMaxima() const { return plain() && layout < 2 && width > 64; }
  bool twoFragments() const { return !group && layout < 2 && plain() && width <= (laneMaxima() ? 128 : 96); }
  Rescaling rescaling() const {
    return laneMaxima() ? Rescaling::kByLaneMaxima : plain() ? Rescaling::kByRowSum : Rescaling::kEveryTurn;
  }
  int64_t queries() const { return group ? 16 : twoFragments() ? 128 : 64; }
  int64_t stages() const { return element != Element::kFloat && width <= 64 ? 2 : 1; }
  bool swizzled() const {
    bool crowded = hole == Hole::kDropout || (laneMaxima() && logsumexp && width > 96);
    return !crowded && (element != Element::kFloat || width % 32 == 0);
  }
};

std::string name(const Case &c) {
  return std::array{"f16", "bf16", "f32"}[int(c.element)] + ("_width" + std::to_string(c.width)) +
         std::array{"", "_causal", "_dropout", "_bias"}[int(c.hole)] + "_layout" + std::to_string(c.layout) +
         (c.group ? "_few_group" + std::to_string(c.group) : "") + (c.logsumexp ? "" : "_output_alone");
}
std::string nameOf(const testing::TestParamInfo<Case> &info) { return name(info.param); }

/// One context for all: to make one takes longer than to compile a kernel.
MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registry.insert<tile::TileDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect,
                    func::FuncDialect, cf::ControlFlowDialect>();
    registerGpuDialects(registry);
    auto *made = new MLIRContext(registry, MLIRContext::Threading::DISABLED);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

Value splat(ImplicitLocOpBuilder &b, RankedTensorType type, float value) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value));
}

FlashForwardHoles holesOf(const Case &c) {
  FlashForwardHoles holes;
  auto block = std::make_shared<FlashForwardBlock>();
  bool causal = c.hole == Hole::kCausal;
  holes.bounds = [block, causal](ImplicitLocOpBuilder &b, const FlashForwardBlock &here)
      -> std::optional<KeyBounds> {
    *block = here;
    if (!causal)
      return std::nullopt;
    auto constant = [&](int64_t v) -> Value { return arith::ConstantOp::create(b, b.getI32IntegerAttr(v)); };
    auto upTo = [&](Value query) -> Value {
      return arith::MinSIOp::create(b, arith::AddIOp::create(b, query, constant(1)), here.keyLength);
    };
    return KeyBounds{constant(0), constant(0), upTo(here.first), upTo(here.last)};
  };
  holes.score = [block, c](ImplicitLocOpBuilder &b, Value products, Value firstKey) -> Value {
    auto type = cast<RankedTensorType>(products.getType());
    Value scaled = arith::MulFOp::create(b, products, splat(b, type, std::numbers::log2e_v<float> / 8));
    if (c.hole != Hole::kBias)
      return scaled;
    auto indices = type.clone(b.getI32Type());
    Value i = tile::IndexOp::create(b, indices, tile::Direction::rows, block->first);
    Value j = tile::IndexOp::create(b, indices, tile::Direction::columns, firstKey);
    Value table = tile::TensorOp::create(b, tile::TensorType::get(b.getContext(), b.getF32Type()), 5);
    Value bias = tile::GatherOp::create(b, type, table, ValueRange{block->batch, block->head, i, j}, Value());
    return arith::AddFOp::create(b, scaled, bias);
  };
  holes.mask = [block, causal, c](ImplicitLocOpBuilder &b, Value firstKey, int64_t) -> Value {
    if (!causal)
      return Value();
    auto indices = RankedTensorType::get({c.queries(), c.keys}, b.getI32Type());
    Value i = tile::IndexOp::create(b, indices, tile::Direction::rows, block->first);
    Value j = tile::IndexOp::create(b, indices, tile::Direction::columns, firstKey);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::sge, i, j);
  };
  holes.factor = [c](ImplicitLocOpBuilder &b) -> Value {
    return c.hole == Hole::kBias ? Value() : tile::ScalarOp::create(b, b.getF32Type(), 1);
  };
  if (c.hole == Hole::kDropout)
    holes.dropoutProbability = [](ImplicitLocOpBuilder &b) -> Value {
      return tile::ScalarOp::create(b, b.getF32Type(), 0);
    };
  return holes;
}

OwningOpRef<ModuleOp> build(const Case &c) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context()));
  OpBuilder builder = OpBuilder::atBlockBegin(module->getBody());
  Type types[] = {builder.getF16Type(), builder.getBF16Type(), builder.getF32Type()};
  Type type = types[int(c.element)];
  FlashForwardPlan plan{};
  plan.tileQueries = c.queries();
  plan.tileKeys = c.keys;
  plan.width = plan.valueWidth = c.width;
  plan.paddedWidth = plan.paddedValueWidth = llvm::alignTo(c.width, 16);
  plan.tile = plan.query = plan.key = plan.value = plan.output = type;
  plan.queryLayout = plan.keyLayout = plan.valueLayout = c.layout;
  plan.group = 1;
  plan.logsumexp = c.logsumexp;
  plan.fromLastKey = true;
  plan.rescaling = c.rescaling();
  if (c.group != 0) {
    plan.group = plan.packed = c.group;
    plan.chunkKeys = 256;
    plan.partialSlot = 5;
  }
  func::FuncOp kernel = buildFlashForward(builder, module->getLoc(), plan, holesOf(c));
  kernel->setAttr(kWarpsAttribute, builder.getI32IntegerAttr(c.group ? 1 : 4));
  kernel->setAttr(kStagesAttribute, builder.getI32IntegerAttr(static_cast<int32_t>(c.stages())));
  if (c.swizzled())
    kernel->setAttr(kSwizzledAttribute, builder.getUnitAttr());
  if (c.group != 0)
    buildCombine(builder, module->getLoc(), {kCombineRows, plan.chunkKeys, plan.mostChunks, plan.packed,
                                             plan.valueWidth, plan.paddedValueWidth, plan.output, plan.logsumexp,
                                             kOutputSlot, kLogsumexpSlot, plan.partialSlot, plan.naturalScores});
  return module;
}

llvm::Expected<std::string> compile(const Case &c, const GpuTarget &target) {
  OwningOpRef<ModuleOp> module = build(c);
  PassManager passes(&context());
  buildGpuPipeline(passes, target);
  if (failed(passes.run(*module)))
    return llvm::createStringError("the pipeline failed");
  return emitPtx(*module, target);
}

std::string assemble(const std::string &ptx, const std::string &target, const std::string &name) {
#ifdef TENON_PTXAS
  std::string path = std::filesystem::temp_directory_path() /
                     ("tenon_" + name + target + std::to_string(getpid()) + ".ptx");
  std::ofstream(path) << ptx;
  std::string command = TENON_PTXAS " -v -arch=" + target + " -o /dev/null " + path + " 2>&1", text;
  FILE *pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (size_t got = fread(buffer.data(), 1, buffer.size(), pipe))
    text.append(buffer.data(), got);
  pclose(pipe);
  std::filesystem::remove(path);
  return text;
#else
  return "";
#endif
}

class Kernel : public testing::TestWithParam<Case> {};

TEST_P(Kernel, AssemblesForEveryTargetWithoutASpill) {
#ifndef TENON_PTXAS
  GTEST_SKIP() << "no ptxas where this was configured";
#endif
  for (const char *target : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"}) {
    auto ptx = compile(GetParam(), *GpuTarget::find(target));
    ASSERT_TRUE(bool(ptx)) << target << ": " << llvm::toString(ptx.takeError());
    std::string said = assemble(*ptx, target, name(GetParam()));
    EXPECT_THAT(said, testing::HasSubstr("0 bytes spill stores, 0 bytes spill loads")) << target;
    EXPECT_THAT(said, testing::Not(testing::ContainsRegex("[1-9][0-9]* bytes spill"))) << target;
    EXPECT_THAT(*ptx, testing::Not(testing::HasSubstr(".extern .func"))) << "a call into a library";
  }
}

INSTANTIATE_TEST_SUITE_P(Half, Kernel,
                         testing::Values(Case{.width = 32}, Case{}, Case{.width = 96}, Case{.width = 128, .keys = 48},
                                         Case{.width = 128, .keys = 48, .logsumexp = false},
                                         Case{.width = 256, .keys = 32}, Case{.hole = Hole::kCausal},
                                         Case{.width = 128, .keys = 48, .hole = Hole::kCausal},
                                         Case{.width = 128, .keys = 48, .hole = Hole::kCausal, .logsumexp = false},
                                         Case{.hole = Hole::kDropout},
                                         Case{.width = 128, .keys = 32, .hole = Hole::kDropout},
                                         Case{.hole = Hole::kBias},
                                         Case{.width = 128, .hole = Hole::kBias},
                                         Case{.width = 40, .layout = 1}, Case{.layout = 2},
                                         Case{.width = 128, .keys = 32, .layout = 2}),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Others, Kernel,
                         testing::Values(Case{.element = Element::kBfloat},
                                         Case{.element = Element::kBfloat, .width = 128, .keys = 48},
                                         Case{.element = Element::kFloat},
                                         Case{.element = Element::kFloat, .hole = Hole::kCausal},
                                         Case{.element = Element::kFloat, .width = 128, .keys = 32},
                                         Case{.element = Element::kFloat, .hole = Hole::kDropout},
                                         Case{.element = Element::kFloat, .width = 20, .layout = 1}),
                         nameOf);

INSTANTIATE_TEST_SUITE_P(Few, Kernel,
                         testing::Values(Case{.group = 1}, Case{.width = 128, .group = 8},
                                         Case{.width = 256, .keys = 32, .group = 4},
                                         Case{.hole = Hole::kCausal, .group = 4},
                                         Case{.hole = Hole::kDropout, .group = 1},
                                         Case{.hole = Hole::kDropout, .group = 8},
                                         Case{.width = 53, .layout = 2, .group = 2},
                                         Case{.element = Element::kBfloat, .width = 128, .group = 8},
                                         Case{.element = Element::kFloat, .width = 128, .keys = 32, .group = 8}),
                         nameOf);

TEST(GpuBackend, RefusesSharedMemoryBeyondTheTargets) {
  Case wide{.element = Element::kFloat, .width = 256};
  auto ptx = compile(wide, *GpuTarget::find("sm_86"));
  ASSERT_FALSE(bool(ptx));
  EXPECT_THAT(llvm::toString(ptx.takeError()), testing::HasSubstr("of shared memory, sm_86 has 101376"));
}

TEST(GpuBackend, KnowsNoOtherTargets) {
  EXPECT_FALSE(GpuTarget::find("sm_75"));
  EXPECT_FALSE(GpuTarget::find(""));
}

} // namespace
