#include "compiler/gpu/ThreadProgram.h"

#include "compiler/gpu/ScalarMath.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

ThreadProgram::ThreadProgram(ImplicitLocOpBuilder &builder, Value arguments, int64_t warps,
                             int64_t rowsOfWarp)
    : builder_(builder), arguments_(arguments), warps_(warps), rowsOfWarp_(rowsOfWarp) {
  thread_ = NVVM::ThreadIdXOp::create(builder, builder.getI32Type());
  lane_ = arith::AndIOp::create(builder, thread_, i32(Layout::kLanes - 1));
  warp_ = arith::ShRUIOp::create(builder, thread_, i32(Layout::kLaneBits));
}

LogicalResult ThreadProgram::lowerBlock(Block &block) {
  // Of the kernel. Not where tables are read: their addresses begin with the same places.
  Operation *lastLoop = nullptr;
  bool tables = block.walk([](GatherOp) { return WalkResult::interrupt(); }).wasInterrupted();
  if (isa<FunctionOpInterface>(block.getParentOp()) && !tables)
    for (auto loop : block.getOps<scf::ForOp>())
      lastLoop = loop;
  for (Operation &op : block.without_terminator()) {
    builder_.setLoc(op.getLoc());
    if (failed(lower(&op)) || (&op == lastLoop && failed(findPlaceAgain(block, op.getIterator()))))
      return failure();
  }
  return success();
}

/// What follows the loops computes anew where thread and block stand: known all along, it would take registers
/// through the loops.
LogicalResult ThreadProgram::findPlaceAgain(Block &block, Block::iterator end) {
  thread_ = readAgain("%tid.x");
  lane_ = arith::AndIOp::create(builder_, thread_, i32(Layout::kLanes - 1));
  warp_ = arith::ShRUIOp::create(builder_, thread_, i32(Layout::kLaneBits));
  llvm::SmallDenseSet<Value> again;
  for (Operation &op : llvm::make_range(block.begin(), end)) {
    if (auto program = dyn_cast<ProgramIdOp>(op))
      scalars_[program] = readAgain(("%ctaid." + stringifyAxis(program.getAxis())).str());
    else if (!isa<arith::ArithDialect>(op.getDialect()) || !op.getResult(0).getType().isInteger() ||
             llvm::none_of(op.getOperands(), [&](Value operand) { return again.contains(operand); }))
      continue;
    else if (failed(lowerElementwise(&op)))
      return failure();
    again.insert(op.getResult(0));
  }
  return success();
}

Value ThreadProgram::readAgain(StringRef specialRegister) {
  return LLVM::InlineAsmOp::create(builder_, builder_.getI32Type(), ValueRange(),
                                   ("mov.u32 $0, " + specialRegister + ";").str(), "=r", /*has_side_effects=*/true,
                                   /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
                                   LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

LogicalResult ThreadProgram::lower(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](scf::ForOp op) { return lowerFor(op); })
      .Case([&](scf::IfOp op) { return lowerIf(op); })
      .Case([&](arith::ConstantOp op) { return lowerConstant(op); })
      .Case([&](arith::TruncFOp op) { return lowerRounding(op); })
      .Case([&](TensorOp op) { return success(); }) // a slot: whoever uses it asks for a view
      .Case([&](SizeOp op) { return lowerSize(op); })
      .Case([&](ScalarOp op) { return lowerScalar(op); })
      .Case([&](SeedOp op) { return lowerSeed(op); })
      .Case([&](OffsetOp op) { return lowerOffset(op); })
      .Case([&](ProgramIdOp op) { return lowerProgramId(op); })
      .Case([&](LoadOp op) { return lowerLoad(op); })
      .Case([&](StoreOp op) { return lowerStore(op); })
      .Case([&](GatherOp op) { return lowerGather(op); })
      .Case([&](SharedAllocOp op) { return lowerSharedAlloc(op); })
      .Case([&](StageOp op) { return lowerStage(op); })
      .Case([&](CopyAsyncOp op) { return lowerCopy(copyOf(op)); })
      .Case([&](CopyWholeOp op) { return lowerCopy(copyOf(op)); })
      .Case([&](StoreSharedOp op) { return lowerStoreShared(op); })
      .Case([&](CommitOp) { return NVVM::CpAsyncCommitGroupOp::create(builder_), success(); })
      .Case([&](WaitOp op) {
        return NVVM::CpAsyncWaitGroupOp::create(builder_, op.getPending()), success();
      })
      .Case([&](BarrierOp op) { return lowerBarrier(op); })
      .Case([&](ReadOp op) { return lowerRead(op); })
      .Case([&](WriteOp op) { return lowerWrite(op); })
      .Case([&](DotOp op) { return lowerDot(op); })
      .Case([&](ReduceOp op) { return lowerReduce(op); })
      .Case([&](AnyOp op) { return lowerAny(op); })
      .Case([&](ExpandOp op) { return lowerExpand(op); })
      .Case([&](SplatOp op) { return lowerSplat(op); })
      .Case([&](IndexOp op) { return lowerIndex(op); })
      .Case([&](RandomOp op) { return lowerRandom(op); })
      .Case([&](DropOp op) { return lowerDrop(op); })
      .Default([&](Operation *op) { return lowerElementwise(op); });
}

//===-- The maps -------------------------------------------------------------------------------===//

Values ThreadProgram::registers(Value tile) {
  auto found = registers_.find(tile);
  if (found != registers_.end())
    return found->second;
  // Out of words of two.
  Type element = cast<RankedTensorType>(tile.getType()).getElementType();
  auto pair = VectorType::get(2, element);
  Values values;
  for (Value word : pairs_.find(tile)->second) {
    Value both = LLVM::BitcastOp::create(builder_, pair, word);
    for (int64_t half : {0, 1})
      values.push_back(LLVM::ExtractElementOp::create(builder_, both, i32(half)));
  }
  return values; // not kept: this block may not dominate the next use
}

Values ThreadProgram::pairs(Value tile) {
  auto found = pairs_.find(tile);
  if (found != pairs_.end())
    return found->second;
  auto type = VectorType::get(2, cast<RankedTensorType>(tile.getType()).getElementType());
  Values values = registers(tile);
  Values words;
  for (size_t i = 0; i < values.size(); i += 2) {
    Value both = LLVM::UndefOp::create(builder_, type);
    for (size_t half : {0, 1})
      both = LLVM::InsertElementOp::create(builder_, both, values[i + half], i32(half));
    words.push_back(LLVM::BitcastOp::create(builder_, builder_.getI32Type(), both));
  }
  return words;
}

bool ThreadProgram::isPaired(Type type) {
  auto tile = dyn_cast<RankedTensorType>(type);
  return tile && tile.getRank() == 2 && isa<FloatType>(tile.getElementType()) && tile.getElementTypeBitWidth() == 16;
}

void ThreadProgram::appendTypes(Type type, SmallVector<Type> &flat) {
  auto tile = dyn_cast<RankedTensorType>(type);
  if (isPaired(type))
    flat.append(layoutOf(tile).registers() / 2, builder_.getI32Type());
  else
    flat.append(tile ? layoutOf(tile).registers() : 1, tile ? tile.getElementType() : type);
}

void ThreadProgram::append(Value value, Values &flat) {
  if (isPaired(value.getType()))
    llvm::append_range(flat, pairs(value));
  else if (isa<RankedTensorType>(value.getType()))
    llvm::append_range(flat, registers(value));
  else
    flat.push_back(scalar(value));
}

ArrayRef<Value> ThreadProgram::bind(Value value, ArrayRef<Value> flat) {
  if (!isa<RankedTensorType>(value.getType())) {
    scalars_[value] = flat.front();
    return flat.drop_front();
  }
  int count = layoutOf(value.getType()).registers() / (isPaired(value.getType()) ? 2 : 1);
  if (isPaired(value.getType()))
    definePairs(value, Values(flat.take_front(count)));
  else
    define(value, Values(flat.take_front(count)));
  return flat.drop_front(count);
}

//===-- Control flow ---------------------------------------------------------------------------===//

LogicalResult ThreadProgram::lowerFor(scf::ForOp op) {
  Values initial;
  for (Value value : op.getInitArgs())
    append(value, initial);
  size_t values = initial.size();
  SmallVector<Walk> walks = walksOf(op);
  for (const Walk &walk : walks)
    initial.push_back(firstSource(walk, op));
  auto loop = scf::ForOp::create(builder_, scalar(op.getLowerBound()), scalar(op.getUpperBound()),
                                 scalar(op.getStep()), initial);
  llvm::SaveAndRestore whileInLoop(carried_, initial.size());
  scalars_[op.getInductionVar()] = loop.getInductionVar();
  Values carried(loop.getRegionIterArgs());
  ArrayRef<Value> rest = carried;
  for (Value argument : op.getRegionIterArgs())
    rest = bind(argument, rest);
  for (auto [walk, source] : llvm::zip_equal(walks, ArrayRef(carried).drop_front(values)))
    sources_[walk.copy.op] = source;
  {
    OpBuilder::InsertionGuard guard(builder_);
    if (initial.empty())
      loop.getBody()->getTerminator()->erase();
    builder_.setInsertionPointToEnd(loop.getBody());
    if (failed(lowerBlock(*op.getBody())))
      return failure();
    Values yielded;
    for (Value value : op.getBody()->getTerminator()->getOperands())
      append(value, yielded);
    for (auto [walk, source] : llvm::zip_equal(walks, ArrayRef(carried).drop_front(values))) {
      TensorView tensor = view(walk.copy.tensor);
      Value distance = multiply(multiply(widen(scalar(op.getStep())), tensor.strides[2]), -1);
      yielded.push_back(at(source, tensor.stored, distance));
    }
    scf::YieldOp::create(builder_, yielded);
  }
  for (auto [walk, source] : llvm::zip_equal(walks, loop.getResults().drop_front(values)))
    walked_.push_back({walk, op.getUpperBound(), source});
  Values results(loop.getResults().take_front(values));
  rest = results;
  for (Value result : op.getResults())
    rest = bind(result, rest);
  return success();
}

LogicalResult ThreadProgram::lowerIf(scf::IfOp op) {
  SmallVector<Type> types;
  for (Type type : op.getResultTypes())
    appendTypes(type, types);
  bool hasElse = !op.getElseRegion().empty();
  auto branch = scf::IfOp::create(builder_, types, scalar(op.getCondition()), hasElse);
  auto fill = [&](Block *source, Block *target) -> LogicalResult {
    OpBuilder::InsertionGuard guard(builder_);
    if (!target->empty())
      target->getTerminator()->erase();
    builder_.setInsertionPointToEnd(target);
    if (failed(lowerBlock(*source)))
      return failure();
    Values yielded;
    for (Value value : source->getTerminator()->getOperands())
      append(value, yielded);
    scf::YieldOp::create(builder_, yielded);
    return success();
  };
  if (failed(fill(op.thenBlock(), branch.thenBlock())) ||
      (hasElse && failed(fill(op.elseBlock(), branch.elseBlock()))))
    return failure();
  Values results(branch.getResults());
  ArrayRef<Value> rest = results;
  for (Value result : op.getResults())
    rest = bind(result, rest);
  return success();
}

//===-- Element by element ---------------------------------------------------------------------===//

LogicalResult ThreadProgram::lowerConstant(arith::ConstantOp op) {
  auto tile = dyn_cast<RankedTensorType>(op.getType());
  if (!tile) {
    scalars_[op] = arith::ConstantOp::create(builder_, cast<TypedAttr>(op.getValue()));
    return success();
  }
  auto element = cast<DenseElementsAttr>(op.getValue()).getSplatValue<Attribute>();
  Value value = arith::ConstantOp::create(builder_, cast<TypedAttr>(element));
  define(op, Values(layoutOf(tile).registers(), value));
  return success();
}

/// op(tile, …) => op(element, …) for each element of the thread; equal operands give one result.
LogicalResult ThreadProgram::lowerElementwise(Operation *op) {
  if (op->getNumRegions() != 0 || op->getNumResults() != 1)
    return op->emitError("has no lowering to a GPU's threads");
  auto one = [&](ValueRange operands) -> Value {
    if (Value expanded = expandMath(builder_, op, operands))
      return expanded;
    IRMapping mapping;
    mapping.map(op->getOperands(), operands);
    Operation *made = builder_.clone(*op, mapping);
    made->getResult(0).setType(getElementTypeOrSelf(op->getResult(0).getType()));
    return made->getResult(0);
  };
  auto tile = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!isa<arith::ArithDialect>(op->getDialect()) && !isMath(op))
    return op->emitError("has no lowering to a GPU's threads");
  if (!tile) {
    Values operands;
    for (Value operand : op->getOperands())
      operands.push_back(scalar(operand));
    scalars_[op->getResult(0)] = one(operands);
    return success();
  }
  int count = layoutOf(tile).registers();
  SmallVector<Values> elements;
  for (Value operand : op->getOperands())
    elements.push_back(isa<RankedTensorType>(operand.getType()) ? registers(operand)
                                                                : Values(count, scalar(operand)));
  llvm::DenseMap<std::pair<Value, std::pair<Value, Value>>, Value> known;
  Values results;
  for (int i = 0; i < count; ++i) {
    Values operands = llvm::map_to_vector(elements, [&](const Values &of) { return of[i]; });
    auto operand = [&](size_t j) { return j < operands.size() ? operands[j] : Value(); };
    Value &result = known[{operand(0), {operand(1), operand(2)}}];
    if (!result)
      result = one(operands);
    results.push_back(result);
  }
  define(op->getResult(0), std::move(results));
  return success();
}

/// Two float32 to a word of two 16-bit elements at once.
LogicalResult ThreadProgram::lowerRounding(arith::TruncFOp op) {
  if (!isPaired(op.getType()) || !getElementTypeOrSelf(op.getIn()).isF32())
    return lowerElementwise(op);
  Type element = getElementTypeOrSelf(op.getType());
  auto name = builder_.getStringAttr(element.isF16() ? "llvm.nvvm.ff2f16x2.rn" : "llvm.nvvm.ff2bf16x2.rn");
  Values values = registers(op.getIn()), words;
  for (size_t i = 0; i < values.size(); i += 2) {
    Value both = LLVM::CallIntrinsicOp::create(builder_, VectorType::get(2, element), name,
                                               ValueRange{values[i + 1], values[i]}).getResult(0);
    words.push_back(LLVM::BitcastOp::create(builder_, builder_.getI32Type(), both));
  }
  definePairs(op, std::move(words));
  return success();
}

//===-- Short forms ----------------------------------------------------------------------------===//

Value ThreadProgram::i16(int64_t value) {
  return arith::ConstantOp::create(builder_, builder_.getI16IntegerAttr(static_cast<int16_t>(value)));
}
Value ThreadProgram::i32(int64_t value) {
  return arith::ConstantOp::create(builder_, builder_.getI32IntegerAttr(value));
}
Value ThreadProgram::i64(int64_t value) {
  return arith::ConstantOp::create(builder_, builder_.getI64IntegerAttr(value));
}
Value ThreadProgram::add(Value a, Value b) { return arith::AddIOp::create(builder_, a, b); }
Value ThreadProgram::multiply(Value a, Value b) { return arith::MulIOp::create(builder_, a, b); }
Value ThreadProgram::add(Value a, int64_t b) {
  return b == 0 ? a : add(a, a.getType().isInteger(64) ? i64(b) : i32(b));
}
Value ThreadProgram::multiply(Value a, int64_t b) {
  return b == 1 ? a : multiply(a, a.getType().isInteger(64) ? i64(b) : i32(b));
}
Value ThreadProgram::bit(Value number, int index) {
  Value shifted = arith::ShRUIOp::create(builder_, number, i32(index));
  return arith::AndIOp::create(builder_, shifted, i32(1));
}
Value ThreadProgram::widen(Value number) {
  return arith::ExtSIOp::create(builder_, builder_.getI64Type(), number);
}
Value ThreadProgram::less(Value a, Value b) {
  return arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, a, b);
}
Value ThreadProgram::zero(Type element) {
  return arith::ConstantOp::create(builder_, builder_.getZeroAttr(element));
}
Value ThreadProgram::unpack(Value structure, int64_t index) {
  return LLVM::ExtractValueOp::create(builder_, structure, index);
}

Values ThreadProgram::guarded(Value condition, ArrayRef<Type> types, function_ref<Values()> make) {
  return either(condition, types, make,
                [&] { return llvm::map_to_vector(types, [&](Type type) { return zero(type); }); });
}

Values ThreadProgram::either(Value condition, ArrayRef<Type> types, function_ref<Values()> yes,
                             function_ref<Values()> no) {
  auto branch = scf::IfOp::create(builder_, types, condition, /*withElseRegion=*/!types.empty());
  OpBuilder::InsertionGuard guard(builder_);
  auto fill = [&](Block *block, function_ref<Values()> values) {
    if (!block->empty())
      block->getTerminator()->erase();
    builder_.setInsertionPointToEnd(block);
    Values yielded = values();
    scf::YieldOp::create(builder_, yielded);
  };
  fill(branch.thenBlock(), yes);
  if (!types.empty())
    fill(branch.elseBlock(), no);
  return Values(branch.getResults());
}

//===-- Layouts --------------------------------------------------------------------------------===//

Layout ThreadProgram::layoutOf(Type type) const {
  auto tile = cast<RankedTensorType>(type);
  auto encoding = cast<LayoutAttr>(tile.getEncoding());
  if (encoding.getHolding() == Holding::rows)
    return Layout::rows(tile.getDimSize(0), encoding.getWarps());
  return Layout::accumulator(tile.getDimSize(0), tile.getDimSize(1), encoding.getWarps());
}
