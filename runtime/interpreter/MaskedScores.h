/// What is masked stays masked: no NaN and no +∞ that is added to a masked score leaks into its row.
///
/// `where(visible, x, −∞)` masks, if the condition is not computed from a product. By the formulas of
/// IEEE 754 alone −∞ + ∞ and −∞ + NaN would be NaN, and with it the whole row. A mask says instead
/// that a key is not there; the compiled kernels never look at it. So the selection is moved behind
/// sums, differences and positive factors:
///
///     where(c, x, −∞) + y, y + where(c, x, −∞)   ⇒   where(c, x + y, −∞)
///     where(c, x, −∞) − y                        ⇒   where(c, x − y, −∞)
///     where(c, x, −∞) · k, k · where(c, x, −∞), where(c, x, −∞) / k
///                                                ⇒   where(c, x · k, −∞)      for constants 0 < k < ∞
///
/// Wherever all numbers are finite nothing changes. FuseAttention.cpp of the compiler moves masks by
/// the same rules.
#pragma once

#include "tenon/Graph.h"
#include "tenon/Result.h"

namespace tenon::interpreter {

/// The graph with its selections moved; its inputs and results are those of `graph`, which is verified.
Result<Graph> with_masks_kept(const Graph &graph);

} // namespace tenon::interpreter
