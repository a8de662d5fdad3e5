/// The arithmetic of AnalyzeMask.
///
/// An *affine form* is q·query + k·key + Σ cₙ·symbolₙ + c with integer coefficients; a symbol is an i32 that is
/// the same for all queries and keys of a block. A comparison of two of them is f ≥ 0 for one form
/// f = k·key + g(query), or a conjunction of two such. For queries first … last, with g between gmin and gmax:
///
///     k > 0:  key ≥ ⌈−g / k⌉   key_begin = ⌈−gmax / k⌉,        open_begin = ⌈−gmin / k⌉
///     k < 0:  key ≤ ⌊g / −k⌋   key_end = ⌊gmax / −k⌋ + 1,      open_end = ⌊gmin / −k⌋ + 1
///     k = 0:  g ≥ 0            key_end = gmax ≥ 0 ? keys : 0,  open_end = gmin ≥ 0 ? keys : 0
///
/// clamped to [0, keys]; what is not named is 0 or keys. Both sides of a comparison are taken modulo 2³², as
/// the kernel computes them: where one of them could leave 32 bits, and in fact does, nothing is known.
#pragma once

#include "dialects/attention/Attention.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace tenon {

/// Fills the empty region `bounds` of the operation from its mask.
void buildBounds(attention::FusedOp fused);

} // namespace tenon
