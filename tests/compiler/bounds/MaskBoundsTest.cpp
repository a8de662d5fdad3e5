// Bounds against brute force: for all small lengths, blocks of queries and scalars, a key outside of
// [key_begin, key_end) is visible to no query of the block, one inside of [open_begin, open_end) to all.
// Where a mask is affine, the bounds are besides as tight as they can be.

#include "compiler/attention/MaskBounds.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace tenon;

namespace {

struct Case {
  const char *name;
  const char *mask; // of %i, %j, %queries, %keys, %scalar; ends in %visible
  bool tight;
};

std::string program(const Case &mask) {
  return std::string(R"(
    func.func @f(%q: tensor<*xf32>, %scalar: i32) -> tensor<*xf32> {
      %queries = attention.query_length : i32
      %keys = attention.key_length : i32
      %0 = attention.fused query(%q) key(%q) value(%q) : tensor<*xf32> -> tensor<*xf32> mask {
      ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
        )") +
         mask.mask + R"(
        attention.yield %visible : i1
      } score {
      ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
        attention.yield %score : f32
      }
      return %0 : tensor<*xf32>
    })";
}

struct Launch {
  int32_t queries, keys, scalar;
};

// Runs a region of scalar code by folding each operation.
std::vector<int64_t> evaluate(Region &region, ArrayRef<int32_t> arguments, const Launch &launch) {
  Builder b(region.getContext());
  llvm::DenseMap<Value, Attribute> values;
  for (auto [argument, value] : llvm::zip_equal(region.getArguments(), arguments))
    values[argument] = b.getI32IntegerAttr(value);
  auto valueOf = [&](Value value) -> Attribute {
    if (Attribute known = values.lookup(value))
      return known;
    if (isa<BlockArgument>(value))
      return b.getI32IntegerAttr(launch.scalar);
    if (auto constant = value.getDefiningOp<arith::ConstantOp>())
      return constant.getValue();
    return b.getI32IntegerAttr(isa<attention::KeyLengthOp>(value.getDefiningOp()) ? launch.keys : launch.queries);
  };
  for (Operation &op : region.front().without_terminator()) {
    if (isa<attention::KeyLengthOp, attention::QueryLengthOp, arith::ConstantOp>(op))
      continue;
    auto operands = llvm::map_to_vector(op.getOperands(), valueOf);
    SmallVector<OpFoldResult> results;
    EXPECT_TRUE(succeeded(op.fold(operands, results)) && results.size() == 1) << "an operation does not fold";
    if (results.empty())
      return {};
    auto folded = dyn_cast<Attribute>(results[0]);
    values[op.getResult(0)] = folded ? folded : valueOf(cast<Value>(results[0]));
  }
  std::vector<int64_t> yielded;
  for (Value value : region.front().getTerminator()->getOperands())
    yielded.push_back(cast<IntegerAttr>(valueOf(value)).getInt());
  return yielded;
}

struct MaskBounds : testing::TestWithParam<Case> {
  MaskBounds() {
    context_.loadDialect<attention::AttentionDialect, arith::ArithDialect, func::FuncDialect>();
    module_ = parseSourceString<ModuleOp>(program(GetParam()), &context_);
    if (module_)
      module_->walk([&](attention::FusedOp op) { fused_ = op; });
  }

  void checkBlock(const Launch &launch, int32_t first, int32_t last,
                  const std::vector<std::vector<bool>> &visible) {
    std::vector<int64_t> b = evaluate(fused_.getBounds(), {0, 0, first, last}, launch);
    ASSERT_EQ(b.size(), 4u);
    for (int64_t bound : b)
      ASSERT_TRUE(bound >= 0 && bound <= launch.keys);
    for (int32_t key = 0; key < launch.keys; ++key) {
      bool some = false, all = true;
      for (int32_t query = first; query <= last; ++query) {
        some |= visible[query][key];
        all &= visible[query][key];
      }
      bool visited = b[0] <= key && key < b[3], open = b[1] <= key && key < b[2];
      ASSERT_TRUE(visited || !some) << "a visible key is left out: " << describe(launch, first, last, key);
      ASSERT_TRUE(!open || all) << "a masked key is open: " << describe(launch, first, last, key);
      if (GetParam().tight && first == last)
        ASSERT_EQ(open, all) << "not tight: " << describe(launch, first, last, key);
    }
  }

  static std::string describe(const Launch &launch, int32_t first, int32_t last, int32_t key) {
    return std::to_string(launch.queries) + " queries, " + std::to_string(launch.keys) + " keys, scalar " +
           std::to_string(launch.scalar) + ", block " + std::to_string(first) + " to " +
           std::to_string(last) + ", key " + std::to_string(key);
  }

  MLIRContext context_{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module_;
  attention::FusedOp fused_;
};

TEST_P(MaskBounds, AgreeWithBruteForce) {
  ASSERT_TRUE(fused_);
  buildBounds(fused_);
  for (int32_t queries = 1; queries <= 6; ++queries)
    for (int32_t keys : {0, 1, 2, 3, 5, 8})
      for (int32_t scalar : {-3, 0, 1, 2, 4, 100, INT32_MAX, INT32_MIN}) {
        Launch launch{queries, keys, scalar};
        std::vector<std::vector<bool>> visible(queries, std::vector<bool>(keys));
        for (int32_t query = 0; query < queries; ++query)
          for (int32_t key = 0; key < keys; ++key)
            visible[query][key] = evaluate(fused_.getMask(), {0, 0, query, key}, launch).at(0) != 0;
        for (int32_t first = 0; first < queries; ++first)
          for (int32_t last = first; last < queries; ++last)
            checkBlock(launch, first, last, visible);
      }
}

const Case kCases[] = {
    {"Causal", "%visible = arith.cmpi sge, %i, %j : i32", true},
    {"StrictlyCausal", "%visible = arith.cmpi slt, %j, %i : i32", true},
    {"BottomRight", R"(%d = arith.subi %keys, %queries : i32
                       %e = arith.addi %i, %d : i32
                       %visible = arith.cmpi sle, %j, %e : i32)", true},
    // A scalar near the ends of 32 bits makes i - scalar wrap: nothing is known then.
    {"Window", R"(%b = arith.subi %i, %scalar : i32
                  %c = arith.cmpi sge, %j, %b : i32
                  %d = arith.cmpi sle, %j, %i : i32
                  %visible = arith.andi %c, %d : i1)", false},
    {"FixedWindow", R"(%two = arith.constant 2 : i32
                       %b = arith.subi %i, %j : i32
                       %c = arith.cmpi slt, %b, %two : i32
                       %d = arith.cmpi sle, %j, %i : i32
                       %visible = arith.andi %c, %d : i1)", true},
    {"Steps", R"(%three = arith.constant 3 : i32
                 %two = arith.constant -2 : i32
                 %a = arith.muli %j, %three : i32
                 %b = arith.muli %i, %two : i32
                 %c = arith.addi %a, %b : i32
                 %visible = arith.cmpi slt, %c, %three : i32)", true},
    {"StepsBelow", R"(%three = arith.constant 3 : i32
                      %a = arith.muli %j, %three : i32
                      %visible = arith.cmpi sgt, %a, %i : i32)", true},
    {"Diagonal", "%visible = arith.cmpi eq, %i, %j : i32", true},
    {"QueryOnly", "%visible = arith.cmpi slt, %i, %scalar : i32", true},
    {"KeyOnly", "%visible = arith.cmpi sge, %j, %scalar : i32", true},
    {"Uniform", "%visible = arith.cmpi slt, %queries, %scalar : i32", true},
    {"NotCausal", R"(%yes = arith.constant true
                     %a = arith.cmpi sge, %i, %j : i32
                     %visible = arith.xori %a, %yes : i1)", true},
    {"SinkOrWindow", R"(%one = arith.constant 1 : i32
                        %a = arith.cmpi slt, %j, %one : i32
                        %b = arith.subi %i, %j : i32
                        %c = arith.cmpi sle, %b, %one : i32
                        %d = arith.cmpi sle, %j, %i : i32
                        %e = arith.ori %a, %c : i1
                        %visible = arith.andi %d, %e : i1)", false},
    {"Remainder", R"(%two = arith.constant 2 : i32
                     %zero = arith.constant 0 : i32
                     %a = arith.remsi %j, %two : i32
                     %b = arith.cmpi eq, %a, %zero : i32
                     %c = arith.cmpi sge, %i, %j : i32
                     %visible = arith.andi %b, %c : i1)", false},
    {"Wrapping", R"(%big = arith.constant 2147483645 : i32
                    %a = arith.addi %i, %big : i32
                    %visible = arith.cmpi sge, %a, %j : i32)", false},
    {"Product", R"(%a = arith.muli %i, %j : i32
                   %visible = arith.cmpi slt, %a, %scalar : i32)", false},
};

INSTANTIATE_TEST_SUITE_P(All, MaskBounds, testing::ValuesIn(kCases),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
