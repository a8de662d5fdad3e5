/// Launches the tile kernels of a module on host tensors, and draws inputs that fit them.
///
/// A kernel says what its slots hold by `tile.tensors` and `tile.scalars` (TileAttention.h): inputs by their numbers,
/// results, workspace. One that does not (written by hand) holds input i in slot i, and a result in each slot that it
/// stores to. Sizes come from CheckInputs.h, widths and ranks from the operations that read a slot.
#pragma once

#include "compiler/check/AttentionInterpreter.h"
#include "compiler/check/CheckInputs.h"

#include "tenon/KernelImage.h"

namespace tenon::check {

/// The phases of one launch, in their order, and what they share.
class KernelLaunch {
public:
  /// `phases` is not empty.
  explicit KernelLaunch(llvm::SmallVector<mlir::func::FuncOp> phases);

  /// How many results the phases leave.
  size_t results() const;
  /// Whether numbers are rounded to 16 bits anywhere on the way.
  bool isHalfPrecision() const;
  /// Random inputs, one for each that a slot names; scalars are of rank 0.
  std::vector<Tensor> inputs(const CheckSizes &sizes, uint64_t seed) const;
  /// Runs all phases. Fails, with a diagnostic, where an access leaves its tensor or an operation is unknown.
  mlir::FailureOr<std::vector<Tensor>> run(const CheckSizes &sizes, const AttentionLaunch &launch) const;

private:
  /// What the phases do with a slot.
  struct SlotUse {
    DataType dtype = DataType::kFloat32;
    int64_t width = 0;        ///< of the rows that are loaded or stored, from the first column on
    int64_t limit = 0;        ///< where it is a number: below which rows are loaded
    size_t indices = 0;       ///< of the elements that are gathered
    bool ofKeys = false;      ///< rows are below the key's length
    bool isRead = false, isWritten = false;
    bool ofBlocks = false;    ///< each row holds what a block left
  };
  SlotUse useOf(uint32_t slot) const;
  Shape shapeOf(const SlotUse &use, const CheckSizes &sizes) const;
  Tensor randomScalar(uint32_t slot, const CheckSizes &sizes, uint64_t seed) const;
  void setScalars(KernelArguments &arguments, const AttentionLaunch &launch) const;

  llvm::SmallVector<mlir::func::FuncOp> phases_;
  llvm::SmallVector<int32_t> tensors_, scalars_; ///< as in `tile.tensors` and `tile.scalars`
};

} // namespace tenon::check
