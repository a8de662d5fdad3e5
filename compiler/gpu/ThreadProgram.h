/// The program of one thread, while it is made of a tile kernel (LowerTileToNVVM.cpp).
///
/// Every value of the kernel that is no tile has one value here. A tile has as many as its layout gives to
/// a thread, in the order of the layout's registers. Tiles of 16-bit elements that come from ldmatrix, or go
/// into mma, are held as pairs: 32-bit words of two neighbouring registers.
#pragma once

#include "dialects/tile/Layout.h"
#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"

namespace tenon::tile {

using mlir::ArrayRef;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::SmallVector;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

using Values = SmallVector<Value>;

/// Of all tiles in shared memory: the bits of an address that a row toggles (SharedRows) are those of its offset.
inline constexpr int64_t kSharedAlignment = 128;

/// A tile in shared memory, or a ring of them.
struct SharedTile {
  Value pointer;     ///< the same for tiles whose addresses differ by a constant
  int64_t start = 0; ///< bytes from there to (0, 0), for an instruction's own offset
  SharedType type;
  int64_t elementBytes() const { return type.getElementType().getIntOrFloatBitWidth() / 8; }
  int64_t rows() const { return type.getShape().drop_back().back(); }
  int64_t columns() const { return type.getShape().back(); }
  SharedRows inMemory() const {
    int64_t bytes = columns() * elementBytes();
    return type.getConflicts() == Conflicts::swizzled ? SharedRows::swizzled(bytes) : SharedRows::padded(bytes);
  }
  int64_t rowBytes() const { return inMemory().bytes(); }
  int64_t stageBytes() const { return llvm::alignTo(rows() * rowBytes(), kSharedAlignment); }
  int64_t bytes() const { return stageBytes() * (type.getShape().size() == 3 ? type.getShape()[0] : 1); }
};

class ThreadProgram {
public:
  /// A warp holds `rowsOfWarp` rows of every tile.
    ThreadProgram(mlir::ImplicitLocOpBuilder &builder, Value arguments, int64_t warps,
                int64_t rowsOfWarp);

  /// Lowers the operations of a block, its terminator aside.
  LogicalResult lowerBlock(mlir::Block &block);
  int64_t sharedBytes() const { return sharedBytes_; }

private:
  LogicalResult lower(Operation *op);

  // Control flow and element-wise operations: ThreadProgram.cpp.
  LogicalResult lowerFor(mlir::scf::ForOp op);
  LogicalResult lowerIf(mlir::scf::IfOp op);
  LogicalResult lowerConstant(mlir::arith::ConstantOp op);
  LogicalResult lowerElementwise(Operation *op);
  LogicalResult lowerRounding(mlir::arith::TruncFOp op);

  // What the launch gives, and memory: Memory.cpp and Copy.cpp.
  LogicalResult lowerSize(SizeOp op);
  LogicalResult lowerScalar(ScalarOp op);
  LogicalResult lowerSeed(SeedOp op);
  LogicalResult lowerOffset(OffsetOp op);
  LogicalResult lowerProgramId(ProgramIdOp op);
  LogicalResult findPlaceAgain(mlir::Block &block, mlir::Block::iterator end);
  LogicalResult lowerLoad(LoadOp op);
  LogicalResult lowerStore(StoreOp op);
  LogicalResult lowerStoreShared(StoreSharedOp op);
  LogicalResult lowerGather(GatherOp op);
  struct TensorView;
  Values gatherOneByOne(GatherOp op, const TensorView &tensor);
  Values gatherPairs(GatherOp op, const TensorView &tensor, Value first, Type pair);
  Value hasAlignedPairs(GatherOp op);
  SmallVector<std::pair<SmallVector<int>, Value>> rowsOfTable(GatherOp op); ///< registers, and an address
  Value clampedOffset(const TensorView &tensor, size_t axis, Value index);
  Value pairOf(Value first, Value second);
  LogicalResult lowerSharedAlloc(SharedAllocOp op);
  LogicalResult lowerStage(StageOp op);
  /// A tile's rows on their way to shared memory: what copy_async and copy_whole have in common.
  struct Copy {
    Operation *op;
    Value tensor, batch, head, row;
    Value limit, guard; ///< of the tile dialect; one of the two
    int64_t width, layout;
    mlir::TypedValue<SharedType> shared;
    int64_t group = 1; ///< of packed rows: see tile.load
  };
  static Copy copyOf(CopyAsyncOp op);
  static Copy copyOf(CopyWholeOp op);
  LogicalResult lowerCopy(const Copy &copy);
  /// A thread's address of a copy whose tiles are rows further each turn: carried by the loop, and on to the loop
  /// that begins where this one ended.
  struct Walk {
    Copy copy;
    Value end;    ///< the row is `end` less the turn's number and `ahead`
    int64_t ahead;
    bool continues(const Walk &other) const {
      return copy.tensor == other.copy.tensor && end == other.end && ahead == other.ahead;
    }
  };
  struct Walked {
    Walk walk;
    Value bound, source; ///< the turn that would come next, and the address then
  };
  int64_t acrossOf(const SharedTile &tile) const;
  SmallVector<Walk> walksOf(mlir::scf::ForOp loop);
  Value firstSource(const Walk &walk, mlir::scf::ForOp loop);
  Value copySource(const Copy &copy, Value row); ///< of the thread's first chunk
  Value packedSource(const Copy &copy, Value further);
  LogicalResult lowerRead(ReadOp op);
  LogicalResult lowerWrite(WriteOp op);
  LogicalResult lowerBarrier(BarrierOp op);

  // Products, reductions and what is known of a tile by its indices: Products.cpp and Tiles.cpp.
  LogicalResult lowerDot(DotOp op);
  LogicalResult lowerDotOnTensorCores(DotOp op, Type element);
  LogicalResult lowerDotInFloat32(DotOp op);
  Values productInFloat32(DotOp op, ArrayRef<int> places);
  Value addTo(Value sum, Value product);
  LogicalResult lowerDotInTf32(DotOp op); ///< Tf32.cpp
  Value toTf32(Value real);
  Values loadTf32(Value address);
  void multiplyTf32(ArrayRef<Value> a, ArrayRef<Value> b, llvm::MutableArrayRef<Value> sums);
  SmallVector<Values> leftTf32(DotOp op, int64_t blocks, int k);
  Values rightTf32(DotOp op, int k, int column);
  LogicalResult lowerReduce(ReduceOp op);
  LogicalResult lowerSumOnTensorCores(ReduceOp op);
  LogicalResult lowerAny(AnyOp op);
  LogicalResult lowerExpand(ExpandOp op);
  LogicalResult lowerSplat(SplatOp op);
  LogicalResult lowerIndex(IndexOp op);
  LogicalResult lowerRandom(RandomOp op);
  LogicalResult lowerDrop(DropOp op);
  struct Philox {
    Values keys; ///< two a round
    Value row, column, stream, offset;
    int64_t group; ///< of packed rows: see tile.load
  };
  void leaveLoops();
  Values roundKeys(Value seed);
  std::pair<Value, Value> thresholds(Value threshold, int64_t columns);
  template <typename Op> Philox philox(Op op);
  Values draw(const Philox &philox, int row, int group); ///< four words

  // The maps.
  Value scalar(Value value) { return scalars_.lookup(value); }
  Values registers(Value tile);  ///< one value an element
  Values pairs(Value tile);      ///< one i32 for two 16-bit elements
  void define(Value tile, Values registers) { registers_[tile] = std::move(registers); }
  void definePairs(Value tile, Values pairs) { pairs_[tile] = std::move(pairs); }
  static bool isPaired(Type tile);                   ///< is passed from block to block as pairs
  void appendTypes(Type type, SmallVector<Type> &flat); ///< of what `append` appends
  void append(Value value, Values &flat);            ///< its values, however many
  ArrayRef<Value> bind(Value value, ArrayRef<Value> flat); ///< takes its values from the front

  // Short forms.
  Value i16(int64_t value);
  Value i32(int64_t value);
  Value i64(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value multiply(Value a, Value b);
  Value multiply(Value a, int64_t b);
  Value bit(Value number, int index); ///< 0 or 1
  Value widen(Value i32);
  Value less(Value a, Value b);
  Value zero(Type element);
  Value convert(Value element, Type to); ///< between real types, and from the storage of masks
  Value unpack(Value structure, int64_t index);
  /// if condition: what `make` makes; else zeros of these types.
  Values guarded(Value condition, ArrayRef<Type> types, llvm::function_ref<Values()> make);
  Values either(Value condition, ArrayRef<Type> types, llvm::function_ref<Values()> yes, llvm::function_ref<Values()> no);

  // Layouts of this block's tiles.
  Layout layoutOf(Type tile) const;
  Value rowOfThread();    ///< the part of an element's row that lane and warp decide
  Value columnOfThread();
  Value warpRow();        ///< the first row of the warp

  // Addresses.
  Value argument(Type type, int64_t offset); ///< a field of KernelArguments
  Value indirect(int64_t pointerOffset, int64_t valueOffset, Type type); ///< seed and offset
  struct TensorView {
    Type element, stored; ///< as the dialect names it, and as a byte or word of memory
    Value data;           ///< in global memory
    SmallVector<Value, 4> strides, sizes;
  };
  TensorView view(Value tensor);
  std::pair<Value, Value> copyPlace(const Copy &copy, const TensorView &tensor);
  Value at(Value pointer, Type element, Value index);
  Value at(Value pointer, int64_t bytes);
  Value rowStart(const TensorView &tensor, Value batch, Value head, Value row);
  std::pair<Value, Value> unpackRow(Value head, Value row, int64_t group);
  Value loadElement(const TensorView &tensor, Value pointer, Type to);
  Value readAgain(llvm::StringRef specialRegister); ///< which the optimizer does not know to be the same
  Value anew(Value offset); ///< the same, which the optimizer takes for another
  /// D = A B + C of mma.m16n8k16 on words of two elements, and accumulators.
  void multiplyFragments(Type element, ArrayRef<Value> a, ArrayRef<Value> b, llvm::MutableArrayRef<Value> sums);
  Value offsetIn(const SharedTile &tile, Value row, Value column); ///< bytes; null: 0
  /// The address of the element so many rows and columns beyond the one at an offset; the bits that these add are 0
  /// in what the offset was made of.
  Value beyond(const SharedTile &tile, Value offset, Element further);
  Value toggled(Value pointer, int64_t bits); ///< exclusive or
  Value matrixOffset(const SharedTile &tile, const Layout::MatrixAddresses &addresses);
  Values loadMatrix(const SharedTile &tile, Value laneOffset, Element at, bool transpose);
  SharedTile shared(Value value) { return shared_.lookup(value); }
  Value rowOfCopy(const SharedTile &tile, int64_t across);
  Values copyChunk(const TensorView &tensor, Value pointer, Value stride, Value column, Type to,
                   int64_t count, int64_t width);

  mlir::ImplicitLocOpBuilder &builder_;
  Value arguments_, thread_, lane_, warp_;
  int64_t warps_, rowsOfWarp_, sharedBytes_ = 0;
  size_t carried_ = 0; ///< values that the loop around carries from turn to turn
  llvm::DenseMap<Value, Value> scalars_;
  llvm::DenseMap<Value, Values> registers_, pairs_;
  llvm::DenseMap<Value, SharedTile> shared_;
  llvm::DenseMap<Operation *, Value> sources_; ///< of copies whose addresses the loop around carries
  SmallVector<Walked> walked_;
};

/// The registers of a tile by their rows in the thread.
llvm::MapVector<int, SmallVector<int>> registersByRow(const Layout &layout);

/// The external array that dynamic shared memory is.
inline constexpr llvm::StringLiteral kSharedSymbol = "tenon_shared";
inline constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;

} // namespace tenon::tile
