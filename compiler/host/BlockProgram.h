/// The program of one block of the grid, while it is made of a tile kernel (LowerTileToVector.cpp).
///
/// A scalar has one value. A tile of one dimension has rows / lanes vectors. A tile of rows and
/// columns has a buffer in the workspace, column after column, elements of four bytes (a mask's are
/// 0 and -1; two neighbouring columns of bfloat16 share a word, see Pairs.cpp); or it has none yet,
/// and is computed by the loop over columns that needs it: see LowerTileToVector.td.
#pragma once

#include "compiler/attention/Effects.h"
#include "compiler/host/BlockParts.h"
#include "compiler/host/Workspace.h"
#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace tenon::tile {

namespace math = mlir::math;

class BlockProgram {
public:
  /// `entry`: arguments, workspace, x, y, z.
  BlockProgram(mlir::ImplicitLocOpBuilder &builder, ValueRange entry, VectorRegisters registers,
               Products products);

  /// Lowers the operations of a block, its terminator aside.
  LogicalResult lowerBlock(mlir::Block &block);
  int64_t workspaceBytes() const { return workspace_.bytes(); }
  /// Before the first operation, and behind the last: where the block has products for tile units.
  void configureTiles(mlir::Block &kernel);
  void releaseTiles();

private:
  LogicalResult lower(Operation *op);

  // Control flow: ControlFlow.cpp.
  LogicalResult lowerFor(mlir::scf::ForOp op);
  LogicalResult lowerIf(mlir::scf::IfOp op);
  LogicalResult prepareOperandsFromOutside(Operation *op);
  bool staysInPlace(mlir::scf::IfOp op, Value tile);

  // What the launch gives: Launch.cpp.
  LogicalResult lowerTensor(TensorOp op);
  LogicalResult lowerSize(SizeOp op);
  LogicalResult lowerPhase(PhaseOp op);
  LogicalResult lowerScalar(ScalarOp op);
  LogicalResult lowerSeed(SeedOp op);
  LogicalResult lowerOffset(OffsetOp op);
  LogicalResult lowerProgramId(ProgramIdOp op);

  // Global memory: Memory.cpp, Results.cpp. Tables: Gather.cpp. Dropout: Random.cpp.
  LogicalResult pack(LoadOp op);
  Values loadElements(LoadOp op);
  static constexpr int64_t kStripRows = 4; ///< a square of them is transposed in four registers
  Value rowPlace(const Transfer &transfer, Value row);
  template <typename Op>
  Transfer transferOf(Op op, const TensorView &tensor, int64_t rows, int64_t offset);
  /// A strip into the buffer; `convert` makes 32-bit elements of a vector of `stored`.
  void packStrip(const Transfer &transfer, ArrayRef<Value> pointers, Value row, Value target,
                 Type stored, int64_t alignment, llvm::function_ref<Value(Value)> convert, bool whole = false);
  static bool isWhole(ArrayRef<Value> rowsOfStrip) { return rowsOfStrip.size() != kStripRows; } ///< all rows exist
  Values equidistantRows(Value first, Value stride, int64_t count);
  void clearBuffer(int64_t offset, int64_t rows, int64_t columns);
  void clearBeyond(const Transfer &transfer, int64_t offset, int64_t columns);
  void requestResults(LoadOp queries);
  /// `strip`: pointers to four elements in each of kStripRows rows, or a vector's, the first row, and the place
  /// of the first of these four columns in the buffer. `element`: a place in global memory, and one
  /// in the buffer.
  bool hasWholeVectors(const Transfer &transfer) const;
  int64_t columnsOfStrip(const Transfer &transfer) const;
  void transfer(const Transfer &transfer,
                llvm::function_ref<void(ArrayRef<Value>, Value, Value)> strip,
                llvm::function_ref<void(Value, Value)> element);
  Value lanesBelow(Value count, int64_t lanes);
  Rows rowsInMemory(LoadOp op, const TensorView &tensor);
  int64_t allocateRows(LoadOp op, bool transposed, int64_t bytes);
  void widenRows(LoadOp op, const TensorView &tensor, Rows &rows, bool transposed);
  FailureOr<Rows> rowsOf(Value operand, bool transposed);

  // Pairs of bfloat16: Pairs.cpp.
  LogicalResult packPairs(LoadOp op);
  FailureOr<Rows> rowsOfPairs(LoadOp op, Value operand, bool transposed);
  void copyRows(LoadOp op, const TensorView &tensor, Rows &rows);
  void storeWords(Value words, const Rows &target, Value row, Value column);
  void interleaveWhole(Value first, Value second, const Rows &target, Value row, Value column);
  void interleaveColumns(Value first, Value second, Value columnStride, int64_t lanes, const Rows &target, Value row,
                         Value column);
  void interleaveRow(LoadOp op, const Rows &source, const Rows &target, Value row, bool both);
  void interleaveRows(LoadOp op, const TensorView &tensor, Rows &rows);
  static constexpr int64_t kPairOfOnes = 0x3f803f80;
  Values pairsOf(const Values &even, const Values &odd, int64_t rows); ///< rounded
  static bool isRounding(Operation *op);
  mlir::StringAttr ofLanes(mlir::StringRef intrinsic, int64_t lanes);
  // In fixed point: PowersOfPairs.cpp.
  using ColumnValues = llvm::DenseMap<Value, Values>; ///< of one column of each tile
  bool joinReferences(Value exponent, const Cone &cone); ///< whether there were any
  FailureOr<Values> computeJoined(Operation *op, ColumnValues &values);
  Values inFixedPoint(Value exponent, ColumnValues &values);
  math::Exp2Op powerInFixedPoint(Value tile); ///< of which a tile is the rounded result; null for others
  Values powersOfPairs(const Values &even, const Values &odd, int64_t rows, Values &marks);
  static constexpr int64_t kBeyondRange = 0x4740feea; ///< the mark of 128; that of NaN is greater
  Value correctionOf(Value words);
  Value lowerHalves(Value first, Value second);
  Value instruction(llvm::StringRef name, Type type, ValueRange operands);
  Values markBeyondRange(const Values &sums, ValueRange marks);
  Value multiplyPairs(Value left, Value right, Value sum);
  Value addPairs(Value words, Value sum); ///< where tile units are, vdpbf16ps is slower than this
  /// Whether pairs are summed once they are rounded: where tile units are, only those that were never float32.
  bool sumsWords(Type type) const;
  LogicalResult lowerStore(StoreOp op);
  void storeStrip(ArrayRef<Value> pointers, ArrayRef<Value> vectors, int64_t alignment);
  Values stripOf(const Transfer &transfer, Value source, Type element, size_t rows);
  void storeElements(const Transfer &transfer, const TensorView &tensor);
  void storeWords(Transfer transfer);
  FailureOr<Values> gather(GatherOp op, llvm::function_ref<Values(Value)> valuesOf);
  bool isTileOfTable(GatherOp op);
  static std::pair<IndexOp, IndexOp> matchTileOfTable(GatherOp op); ///< of rows and columns
  Value startOfTable(GatherOp op);
  // Whether a table hides a block: HiddenBlocks.cpp.
  LogicalResult lowerAny(AnyOp op);
  Value anyOfRows(ArrayRef<Value> vectors);
  Value anyOfTable(GatherOp op);
  Value rowsOfTable(GatherOp op);
  Value numberOfRow(Value numbers, Value row);
  Value anyOfRow(const TensorView &tensor, Value row, Value stride, Value count);
  LogicalResult packTable(GatherOp op);
  void packStripsOfTable(GatherOp op, Value firstRow, Value firstColumn, int64_t offset);
  Value gatherElement(const TensorView &tensor, Value offset, Value guard);
  Value gatherVector(const TensorView &tensor, Value offsets, Value guard);
  Value bitsToElement(Value word, Type stored);
  LogicalResult lowerRandom(RandomOp op);

  // Products: Products.cpp.
  LogicalResult lowerDot(DotOp op);
  void requestRows(const Rows &rows, int64_t rowBytes);
  ReduceOp consumerOfProduct(DotOp op, const Product &product);
  ReduceOp reductionOf(DotOp op);
  LogicalResult lowerProductAndReduce(PendingProduct pending, ReduceOp reduce);
  LogicalResult prepareAccumulator(DotOp op, bool &accumulate, int64_t &offset);
  void rescale(int64_t offset, const Values &factors, int64_t columns);

  // By register tiles: RegisterTiles.cpp.
  SmallVector<ColumnGroups, 2> groupsOf(const Product &product, int64_t vectors);
  bool fillsRegisterTiles(const Product &product);
  Values columnsOf(const Product &product, const ColumnGroups &group, Value firstColumn);
  void noteQueryRows(LoadOp load, Value count);
  Value endOfRows(const Product &product);
  void emitProduct(const Product &product);
  void emitRegisterTiles(const Product &product, int64_t vectorsOfTile, Value end);
  void emitVectorsApart(const Product &product);
  void emitRegisterTile(const Product &product, const ColumnGroups &group, int64_t vectors, Value firstColumn,
                        Value vectorOffset);
  Values sumRegisterTile(const Product &product, const ColumnGroups &group, int64_t vectors, Value firstColumn,
                         Value vectorOffset);
  void clearColumns(const Product &product);

  // Products of few queries: RowProducts.cpp.
  bool isKnown(Value value);
  bool runsAlongRows(DotOp op);
  LogicalResult lowerDotAlongRows(DotOp op, bool pairs);
  int64_t leftRows(LoadOp op);
  LogicalResult forExistingRows(Values &carried, llvm::function_ref<LogicalResult()> body);
  Values firstRows(const Values &rows);
  Values rowsOfLoop(Value tile);
  Value multiplyAdd(const Product &product, Value left, Value right, Value sum);
  void request(Value pointer, int64_t bytes); ///< to the first-level cache
  Value rowAhead(const Product &product, Value row, int64_t width, int64_t least);
  Value rowElements(const Product &product, Value pointer);
  Value addNeighbours(Value a, Value b, int64_t run);
  Value sumsOfVectors(Values vectors);
  void emitScoresOfKeys(const Product &product, int64_t width, Value left, Value result, Value firstKey);
  void emitScoresAlongRows(const Product &product, int64_t width);
  Values valuesOfRow(const Product &product, int64_t vectors, Value row, Value nextRow);
  Value interleaved(Value first, Value second, int64_t from);
  Values addRowsOfValues(const Product &product, const ValueColumns &columns, Value left, Value begin, Value end,
                         int64_t step, Values sums);
  void emitRowsOfOutput(const Product &product, int64_t width, Value left, Value target);
  void emitOutputAlongRows(const Product &product, int64_t width);

  // Columns that a mask hides: ColumnBounds.cpp.
  std::optional<ColumnBounds> boundsOf(Value tile);
  std::optional<ColumnBounds> boundsOfMask(Value mask, RankedTensorType tile);
  std::optional<ColumnBounds> boundsOfComparison(Value mask, RankedTensorType tile);
  Value openColumnsOf(Value mask, RankedTensorType tile);
  Value hidingMask(Value tile, bool zeros);
  bool isReadWithin(Value tile, Value mask);
  Value maskOfReaders(Value tile);
  void boundColumns(DotOp op, Product &product);
  void boundTerms(DotOp op, Product &product);

  // Reductions.cpp.
  LogicalResult lowerReduce(ReduceOp op);
  Values identityOf(Reduction reduction, int64_t rows);
  Values fold(Reduction reduction, Type type, const Values &elements, ValueRange soFar);

  // Tiles of rows and columns, computed on demand: Elementwise.cpp, ColumnLoop.cpp.
  LogicalResult lowerVector(Operation *op);
  /// The buffer of a tile, made if there is none.
  FailureOr<int64_t> materialize(Value tile);
  /// Computes `tile` into the buffer at `offset`.
  LogicalResult materializeInto(Value tile, int64_t offset);
  LogicalResult copy(Value tile, int64_t offset);
  void copyWords(RankedTensorType tile, int64_t from, int64_t to); ///< of pairs
  LogicalResult collect(Value tile, Cone &cone);
  bool isFree(Value tile, bool orTable = false); ///< as cheap to compute again as to load, or a table to be packed
  using ColumnHook =
      llvm::function_ref<Values(Value column, const Values &elements, ValueRange carried)>;
  /// One loop over the columns of `tile`: computes its cone, stores `stored`, and folds the tile's
  /// elements into `carried` by the hook, if there is one.
  LogicalResult forEachColumn(Value tile, const Cone &cone, ArrayRef<Stored> stored,
                              Values &carried, ColumnHook hook);
  Value columnEnd(Value tile, ArrayRef<Stored> stored); ///< ColumnBounds.cpp
  LogicalResult forColumnsTo(Value end, Value tile, const Cone &cone, ArrayRef<Stored> stored, Values &carried,
                             ColumnHook hook);
  /// What later loops need of a cone, each with its place; marks what has become needless.
  SmallVector<Stored> planStores(Value tile, const Cone &cone, bool storeTile);
  void loadLeaves(const Cone &cone, int64_t rows, Value columnOffset, ColumnValues &values);
  LogicalResult computeColumn(Operation *op, Value column, ColumnValues &values);
  // The turns of a loop over columns. What it carries: what the hook folds, then marks of powers in fixed point.
  void beginColumns(ColumnLoop &columns, bool folds, Values &carried);
  Values computeColumns(ColumnLoop &columns, Value first, ValueRange state, ColumnHook hook,
                        llvm::function_ref<void(Value, ColumnValues &)> loadColumn);
  Values endColumns(const ColumnLoop &columns, Values carried);
  void storeColumns(const Stored &stored, Value first, mlir::MutableArrayRef<ColumnValues> values,
                    ColumnValues &words);
  FailureOr<Values> repeat(Operation *op, llvm::function_ref<Values(Value)> valuesOf);

  // Products by tile units: TileProducts.cpp.
  LogicalResult lowerTileDot(DotOp op);
  ReduceOp consumerOfTileProduct(DotOp op, const Product &product);
  std::pair<Value, Value> tileRowsAt(const TileRows &right, Value first);
  bool streams() const { return !isLeftOut(kernel_, Effect::kStreamingLoads); } ///< keys and values to tiles
  tile_unit::TileType sumsType();
  Value loadTerms(Value pointer, Value stride, bool streaming = false);
  Values forEachFurtherStep(Value steps, Values sums, llvm::function_ref<Values(Value, ValueRange)> body);
  Values emitTileBlock(const Product &product, const TileRows &right, Value firstColumn, Value steps,
                       int64_t vectorOffset, const PendingTiles &pending, llvm::function_ref<void()> between = {});
  void storeTileBlock(const PendingTiles &tiles, int64_t columnBytes);
  /// Loops over the columns of the scores in strips, folding them once they are stored.
  Values foldColumns(const Product &product, Folding &folding, Value strip, int64_t first, int64_t count, ValueRange soFar);
  Values foldMaskedColumns(const Product &product, Folding &folding, Value firstColumn, int64_t count, ValueRange soFar);
  Value placeOf(const Folding &folding, Value column);
  ReduceOp sumOfPowers(DotOp op);
  std::optional<ColumnBounds> boundsOfPowers(DotOp scores, Value powers);
  void boundFolding(DotOp dot, Folding &folding);
  /// Gives its sums, and stores those that wait.
  using EmitStrip =
      llvm::function_ref<Values(Value column, const PendingTiles &pending, llvm::function_ref<void()> between)>;
  Values emitStrips(const Product &product, int64_t width, int64_t multiplies, int64_t vectorOffset, Folding *folding,
                    EmitStrip emit);
  LogicalResult lowerTileProductAndReduce(PendingProduct pending, ReduceOp reduce);
  Values emitHeldLeft(const Product &product, const TileRows &right, int64_t steps, int64_t vectorOffset,
                      Folding *folding);
  Values emitTileScores(const Product &product, const TileRows &right, Folding *folding = nullptr);
  void emitTileOutputs(const Product &product, const TileRows &right);
  void clearTerms(const Product &product, Value from, Value to);
  bool holdsLeft(int64_t steps) const; ///< queries of so many steps stay in tile registers
  // Their operands: TileOperands.cpp.
  FailureOr<TileRows> tileRowsOf(Value operand, bool transposed);
  TileRows tileRowsOfKeys(LoadOp op, const TensorView &tensor);
  void copyTail(LoadOp op, const Rows &rows, Value isKept, TileRows &result);
  TileRows tileRowsOfValues(LoadOp op, const TensorView &tensor);
  void copyRow(LoadOp op, const Rows &rows, Value source, Value target, int64_t stepBytes);
  void transposeValues(LoadOp op, const Rows &rows, Value first, int64_t padded, Value target, int64_t blockBytes);
  // Keys and values kept: KeptRows.cpp.
  void reserveKept(mlir::Block &kernel);
  const KeptRows *keptOf(LoadOp op, bool transposed);
  void keepRowsOf(LoadOp op);
  KeptPlace keepOrRewrite(LoadOp op, bool transposed, const Rows &rows, Value otherPlace, bool liesThere,
                          llvm::function_ref<void(Value)> rewrite);

  // Tiles that stay in places of their own: Places.cpp.
  LogicalResult lowerSharedAlloc(SharedAllocOp op);
  LogicalResult lowerStage(StageOp op);
  LogicalResult lowerRead(ReadOp op);
  LogicalResult lowerWrite(WriteOp op);
  LogicalResult lowerLoadTile(LoadTileOp op);
  LogicalResult lowerStoreTile(StoreTileOp op);
  int64_t placeIn(Value tensor, Value batch, Value head, Value row);
  LogicalResult readPlace(Value tile, int64_t offset);
  LogicalResult writePlace(Value value, int64_t offset);

  // Buffers.
  int64_t bytesOf(RankedTensorType type) const;
  int64_t allocateBuffer(RankedTensorType type);
  void bind(Value tile, int64_t offset);
  bool isDone(Operation *op);
  bool isNeeded(Value tile,
                const Cone *cone = nullptr); ///< by operations to come, outside the cone
  bool mayOverwrite(Value tile, const Cone *cone = nullptr);
  void releaseBuffers(mlir::Block *ending = nullptr);

  // Short forms: Launch.cpp.
  Value i32(int64_t value);
  Value i64(int64_t value);
  Value add(Value a, Value b);
  Value multiply(Value a, Value b);
  Value minimum(Value a, Value b);
  Value clamp(Value value, Value low, Value high);
  Value widen(Value i32);
  Value byte(Value pointer, Value offset);
  Value byte(Value pointer, int64_t offset);
  Value buffer(int64_t offset);
  Value load(Type type, Value pointer, int64_t alignment = 4);
  void store(Value value, Value pointer, int64_t alignment = 4);
  Value broadcast(Value scalar, int64_t lanes);
  Value filled(Type type, double value);
  Value argument(Type type, int64_t offset); ///< a field of KernelArguments
  void loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body);
  Values loop(Value begin, Value end, int64_t step, ValueRange carried,
              llvm::function_ref<Values(Value, ValueRange)> body);
  mlir::Type pointerType();

  // Tensors in global memory.
  TensorView view(Value tensor) { return tensors_.lookup(tensor); }
  void findWords(TensorView &view);
  Value size(const TensorView &tensor, int dimension);
  Value rowStart(const TensorView &tensor, Value batch, Value head, Value row);
  Value rowCount(Value row, Value limit, int64_t rows);
  Value fromStorage(Value element, Type stored); ///< float32, i32 or i1 of what lies in memory
  Value toStorage(Value element, Type stored);
  Type storageOf(Type element);
  Type bitsOf(Type element);

  int64_t lanesOf(int64_t rows) const;
  int64_t vectorsOf(int64_t rows) const;
  int64_t vectorsOf(Type tile) const;
  mlir::VectorType vectorOf(Type element, int64_t rows) const;

  mlir::ImplicitLocOpBuilder &builder_;
  Value arguments_, workspacePointer_, programIds_[3];
  VectorRegisters registers_;
  Products products_;
  Workspace workspace_;
  llvm::DenseMap<Value, Value> scalars_;
  llvm::DenseMap<Value, Values> vectors_;
  llvm::DenseMap<Value, TensorView> tensors_;
  llvm::DenseMap<RightOperand, Rows> rows_;
  llvm::DenseMap<RightOperand, TileRows> tileRows_;
  bool keepsRows_ = false;
  KeptRows keptRows_[2]; ///< of products that are not transposed, values, and of those that are, keys
  bool units_ = false; ///< tile units are in use: products of bfloat16 are theirs

  llvm::DenseMap<Value, int64_t> buffers_;
  llvm::DenseMap<Value, int64_t> places_;  ///< of a ring of tiles, and of its stage
  llvm::DenseMap<int64_t, Value> elsewhere_; ///< by numbers below 0, places that are not in the workspace: pointers
  llvm::DenseMap<int64_t, Value> shifts_; ///< of a ring's buffer: bytes to the stage at hand, i64
  llvm::DenseMap<RightOperand, int64_t> rowBuffers_; ///< of right operands that had to be rewritten
  /// Of a buffer: the block that it may be released or taken over in; null while a loop carries it.
  llvm::DenseMap<int64_t, mlir::Block *> owners_;
  /// Of a tile that a loop carries, or of the block around: the branch that writes the tile's buffer, too.
  llvm::DenseMap<Value, mlir::Block *> overwrittenIn_;
  /// By the mask that hides them, in the block of the kernel where they were computed.
  llvm::DenseMap<std::pair<Value, mlir::Block *>, ColumnBounds> columnBounds_;
  llvm::DenseMap<Operation *, PendingProduct> pendingProducts_; ///< by the reduction
  llvm::DenseMap<Value, int64_t> leftRows_; ///< left operands that lie as rows
  Value queryRows_;       ///< of a block's queries, those that exist, i64,
  int64_t queryTile_ = 0; ///< in tiles of so many rows; 0 where there are several tiles of queries
  Value rowGroups_;       ///< of four rows of queries that exist, i64
  int64_t groupedRows_ = 0;    ///< of their tile
  bool onlyFirstRows_ = false; ///< vectors are the first four rows
  Value inRegisters_; ///< the product that a loop has at hand
  Operation *powerInWords_ = nullptr; ///< of the loop at hand, which makes words of its exponents
  /// Exponents that have the constant of fixed point: of a difference the constant less its reference, by vectors of rows;
  /// of a selection nothing.
  llvm::DenseMap<Operation *, Values> joined_;
  llvm::SmallPtrSet<Operation *, 16> done_; ///< operations whose operands are not needed any more
  Operation *kernel_ = nullptr;             ///< the function
  mlir::Block *block_ = nullptr;            ///< of the kernel, being lowered
};

/// Whether a tile's columns lie in pairs.
inline bool hasPairs(Type type) {
  return mlir::getElementTypeOrSelf(type).isBF16();
}

/// Whether an operation computes each element of its result from those of its operands at the same place.
inline bool isElementwise(Operation *op) {
  return op->getNumResults() == 1 && op->getNumRegions() == 0 &&
         mlir::isa_and_nonnull<mlir::arith::ArithDialect, mlir::math::MathDialect>(op->getDialect());
}

/// Whether a type is a tile of rows and columns.
inline bool isMatrix(Type type) {
  auto tensor = mlir::dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2;
}
inline bool isVector(Type type) {
  auto tensor = mlir::dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 1;
}

} // namespace tenon::tile
