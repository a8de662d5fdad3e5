// Products of tiles, by register tiles: G columns of the result in V vectors of rows each are
// summed up in registers, over one element of each of the G columns of the right operand,
// broadcast, and V vectors of the left a step.
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

/// The shape of a register tile.
struct RegisterTile {
  int64_t registers; ///< that the target must have
  int64_t vectors;   ///< V: vectors of the left operand
  int64_t columns;   ///< G
};

// The largest that leave a register for the broadcast element besides V for the left operand; 6 x 4
// reaches the peak of an AVX-512 core, 4 x 4 loses a tenth.
constexpr RegisterTile kRegisterTiles[] = {{32, 4, 6},  {32, 3, 8}, {32, 2, 12},
                                           {32, 1, 12}, {16, 2, 6}, {16, 1, 12}};

// What a loop over `columns` in groups of `group` reaches: the last group may be wasted in part,
// and a small one spends more of its instructions on loads (6 x 4: 217 GFLOP/s, 4 x 4: 198, on a
// Xeon with AVX-512).
double efficiency(int64_t group, int64_t columns) {
  return (1 - 0.35 / group) * columns / llvm::alignTo(columns, group);
}

RegisterTile largestRegisterTile(int64_t registers, int64_t vectors) {
  return *llvm::find_if(kRegisterTiles, [&](const RegisterTile &tile) {
    return registers >= tile.registers && vectors % tile.vectors == 0;
  });
}

// One size for all groups, the last of which may lack columns.
RegisterTile chooseRegisterTile(int64_t registers, int64_t vectors, int64_t columns) {
  RegisterTile best = largestRegisterTile(registers, vectors);
  // Of groups as good as each other by this estimate the smallest: less code, and on AMD no worse for its loads.
  constexpr double kAsGood = 0.005;
  for (int64_t group = best.columns - 1; group >= best.columns / 2; --group)
    if (efficiency(group, columns) > efficiency(best.columns, columns) - kAsGood)
      best.columns = group;
  return best;
}

// In as few groups of at most `most` columns as there can be, of two sizes, so that none lacks any: 64 are 9 x 6 + 2 x 5.
SmallVector<ColumnGroups, 2> evenGroups(int64_t columns, int64_t most) {
  int64_t groups = llvm::divideCeil(columns, most), larger = llvm::divideCeil(columns, groups);
  int64_t end = (groups - (groups * larger - columns)) * larger;
  SmallVector<ColumnGroups, 2> parts{{larger, 0, end}};
  if (end < columns)
    parts.push_back({larger - 1, end, columns});
  return parts;
}

} // namespace

static std::optional<int64_t> constantOf(Value value) {
  IntegerAttr constant;
  return matchPattern(value, m_Constant(&constant)) ? std::optional(constant.getInt()) : std::nullopt;
}

// Register tiles are as large as fit where that was faster: with 16 registers, whose smaller ones, 4 x 2, are just the sums
// that two multiply-adds a cycle keep under way; and beside tile units, on Xeons (efficiency).
SmallVector<ColumnGroups, 2> BlockProgram::groupsOf(const Product &product, int64_t vectors) {
  std::optional<int64_t> count = constantOf(product.columnCount);
  if (count.value_or(0) > 0 && (registers_.count < 32 || products_ == Products::kTiles))
    return evenGroups(*count, largestRegisterTile(registers_.count, vectors).columns);
  int64_t columns = chooseRegisterTile(registers_.count, vectors, product.columns).columns;
  return {{columns, 0, count && *count % columns == 0 ? count : std::nullopt}};
}

// Where the columns of a register tile begin in the right operand. Those beyond the last repeat it; what comes of them is
// dropped.
Values BlockProgram::columnsOf(const Product &product, const ColumnGroups &group, Value firstColumn) {
  auto place = [&](Value column) {
    if (!product.panelStride)
      return byte(product.base, multiply(column, product.columnStride));
    Value panel = arith::DivUIOp::create(builder_, column, i64(kPanelColumns));
    Value within = arith::RemUIOp::create(builder_, column, i64(kPanelColumns));
    return byte(byte(product.base, multiply(panel, product.panelStride)), multiply(within, product.columnStride));
  };
  Value last = builder_.createOrFold<arith::SubIOp>(product.columnCount, i64(1));
  bool inOnePanel = group.end && kPanelColumns % group.columns == 0 && group.first % group.columns == 0;
  Values bases;
  for (int64_t i = 0; i < group.columns; ++i) {
    Value column = add(firstColumn, i64(i));
    if (product.panelStride && inOnePanel)
      bases.push_back(i == 0 ? place(firstColumn) : byte(bases[0], multiply(i64(i), product.columnStride)));
    else
      bases.push_back(place(group.end ? column : minimum(column, last)));
  }
  return bases;
}

// The sums of a group of columns, vectors of one column side by side.
Values BlockProgram::sumRegisterTile(const Product &product, const ColumnGroups &group, int64_t vectors,
                                     Value firstColumn, Value vectorOffset) {
  int64_t lanes = lanesOf(product.rows);
  int64_t vectorBytes = lanes * sizeof(float), columnBytes = product.rows * sizeof(float);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  Type word = product.pairs ? builder_.getI32Type() : vector.getElementType();

  Values bases = columnsOf(product, group, firstColumn);
  Value left = byte(product.left, vectorOffset);

  Values carried(group.columns * vectors, filled(vector, 0));
  carried.push_back(i64(0));
  Values sums = loop(i64(0), product.innerCount, 1, carried, [&](Value k, ValueRange state) {
    Value offset = state.back();
    Value step = byte(left, multiply(k, i64(columnBytes)));
    Values a, next;
    for (int64_t v = 0; v < vectors; ++v)
      a.push_back(load(vector.clone(word), byte(step, v * vectorBytes), vectorBytes));
    for (int64_t i = 0; i < group.columns; ++i) {
      Value b = broadcast(load(word, byte(bases[i], offset), product.pairs ? 2 : 4), lanes);
      for (int64_t v = 0; v < vectors; ++v) {
        Value sum = state[i * vectors + v];
        next.push_back(product.pairs ? multiplyPairs(a[v], b, sum)
                                     : Value(math::FmaOp::create(builder_, a[v], b, sum)));
      }
    }
    next.push_back(add(offset, product.innerStride));
    return next;
  });
  sums.pop_back();
  return sums;
}

void BlockProgram::emitRegisterTile(const Product &product, const ColumnGroups &group, int64_t vectors,
                                    Value firstColumn, Value vectorOffset) {
  int64_t lanes = lanesOf(product.rows);
  int64_t vectorBytes = lanes * sizeof(float), columnBytes = product.rows * sizeof(float);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  Values sums = sumRegisterTile(product, group, vectors, firstColumn, vectorOffset);

  Value result = byte(byte(product.result, vectorOffset), multiply(firstColumn, i64(columnBytes)));
  // What lies beyond the tile is slack; what the right operand lacks within it must stay as it is.
  bool slackOnly = group.end || constantOf(product.columnCount) == product.columns;
  for (int64_t i = 0; i < group.columns; ++i) {
    Value exists;
    if (product.accumulate && !slackOnly)
      exists = broadcast(arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt,
                                               add(firstColumn, i64(i)), product.columnCount),
                         lanes);
    for (int64_t v = 0; v < vectors; ++v) {
      Value pointer = byte(result, i * columnBytes + v * vectorBytes);
      Value sum = sums[i * vectors + v];
      if (exists)
        sum = arith::SelectOp::create(builder_, exists, sum, filled(vector, 0));
      if (product.accumulate)
        sum = arith::AddFOp::create(builder_, load(vector, pointer, vectorBytes), sum);
      store(sum, pointer, vectorBytes);
    }
  }
}

// Columns that the right operand lacks.
void BlockProgram::clearColumns(const Product &product) {
  int64_t lanes = lanesOf(product.rows), vectors = product.rows / lanes;
  bool whole = constantOf(product.columnCount) == product.columns;
  if (product.accumulate || product.bounded || whole)
    return;
  Type vector = VectorType::get({lanes}, builder_.getF32Type());
  loop(product.columnCount, i64(product.columns), 1, [&](Value column) {
    Value pointer = byte(product.result, multiply(column, i64(product.rows * sizeof(float))));
    for (int64_t v = 0; v < vectors; ++v)
      store(filled(vector, 0), byte(pointer, v * lanes * sizeof(float)), lanes * sizeof(float));
  });
}

// A load of queries says how many of them exist: of short heads half of the rows of a block or more do not. Of two loads
// of queries beside each other neither does: whose rows a product has is not told.
void BlockProgram::noteQueryRows(LoadOp load, Value count) {
  auto isQuery = [&](Operation *user) {
    auto product = dyn_cast<DotOp>(user);
    return product && product.getTransposed() && product.getA() == load.getResult();
  };
  if (llvm::none_of(load->getUsers(), isQuery))
    return;
  queryTile_ = isKnown(queryRows_) ? 0 : cast<RankedTensorType>(load.getResult().getType()).getDimSize(0);
  queryRows_ = count;
}

// Where the rows of a product end that exist, i64; all of them where that is not known.
Value BlockProgram::endOfRows(const Product &product) {
  bool known = product.rows == queryTile_ && isKnown(queryRows_) && !isLeftOut(kernel_, Effect::kExistingRows);
  return known ? queryRows_ : i64(product.rows);
}

// A product whose columns or terms end within the block, by the last key or by a mask, leaves out vectors of rows that do
// not exist, in register tiles of two vectors at most; whole ones, which are most of the work of long heads, have large
// tiles and take all rows. In rows that are left out stands anything: what follows is by lanes, and rows are stored up to
// their count.
void BlockProgram::emitProduct(const Product &product) {
  int64_t lanes = lanesOf(product.rows), vectors = product.rows / lanes, vectorBytes = lanes * sizeof(float);
  bool whole = constantOf(product.columnCount) && constantOf(product.innerCount);
  if (vectors > 1 && !product.ends.empty()) {
    emitVectorsApart(product);
  } else if (Value end = endOfRows(product); whole || constantOf(end) || vectors % 2 != 0) {
    int64_t vectorsOfTile = largestRegisterTile(registers_.count, vectors).vectors;
    emitRegisterTiles(product, vectorsOfTile, i64(vectors * vectorBytes));
  } else {
    emitRegisterTiles(product, 2, multiply(end, i64(sizeof(float))));
  }
  clearColumns(product);
}

// Of vectors up to `end` bytes in a column of the result.
void BlockProgram::emitRegisterTiles(const Product &product, int64_t vectorsOfTile, Value end) {
  int64_t vectorBytes = lanesOf(product.rows) * sizeof(float), tileBytes = vectorsOfTile * vectorBytes;
  auto groups = [&](Value vectorOffset) {
    for (const ColumnGroups &group : groupsOf(product, vectorsOfTile))
      loop(i64(group.first), group.end ? i64(*group.end) : product.columnCount, group.columns, [&](Value firstColumn) {
        emitRegisterTile(product, group, vectorsOfTile, firstColumn, vectorOffset);
      });
  };
  if (constantOf(end) == tileBytes)
    return groups(i64(0));
  loop(i64(0), end, tileBytes, groups);
}

// Vectors with ends of their own one after the other, so that each ends there.
void BlockProgram::emitVectorsApart(const Product &product) {
  int64_t lanes = lanesOf(product.rows), table = workspace_.allocate(product.ends.size() * sizeof(int64_t));
  for (auto [v, end] : llvm::enumerate(product.ends))
    store(end, byte(buffer(table), v * sizeof(int64_t)), sizeof(int64_t));
  Value end = builder_.createOrFold<arith::DivUIOp>(add(endOfRows(product), i64(lanes - 1)), i64(lanes));
  loop(i64(0), end, 1, [&](Value v) {
    Product part = product;
    Value place = byte(buffer(table), multiply(v, i64(sizeof(int64_t)))), offset = multiply(v, i64(lanes * sizeof(float)));
    (product.endsOfTerms ? part.innerCount : part.columnCount) = load(builder_.getI64Type(), place, sizeof(int64_t));
    part.left = byte(part.left, offset), part.result = byte(part.result, offset);
    emitRegisterTiles(part, 1, i64(lanes * sizeof(float)));
  });
  workspace_.release(table);
}

// Whether all columns are known and in register tiles that have all vectors, whole ones: what is made of a column is at hand.
bool BlockProgram::fillsRegisterTiles(const Product &product) {
  int64_t vectors = product.rows / lanesOf(product.rows);
  return constantOf(product.columnCount) == product.columns &&
         largestRegisterTile(registers_.count, vectors).vectors == vectors && groupsOf(product, vectors)[0].end;
}
