/// Inside the runtime: which types an operation takes and gives, and which nodes the results need.
#pragma once

#include "tenon/Error.h"
#include "tenon/Graph.h"
#include "tenon/Result.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// The type of the operation's result. Not for kInput and kConstant.
/// Errors: the number of operands, or the operand whose type does not fit.
Result<ValueType> infer_type(Operation operation, std::span<const ValueType> operands);

/// Whether the text shows one type, which is that of the result and of all operands; else (…) ->
/// type.
bool has_single_type(OperationForm form);

/// For every node of the graph, whether its results need it.
std::vector<bool> live_nodes(const Graph &graph);

/// The text in double quotes, unprintable bytes escaped, cut where it is long.
std::string in_quotes(std::string_view text);

} // namespace tenon
