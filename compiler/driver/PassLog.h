/// One line of the log for each pass that ran: TENON_LOG=pass.
#pragma once

#include "mlir/Pass/PassManager.h"

namespace tenon {

/// Where the event is off, adds nothing.
void logPasses(mlir::PassManager &passes);

} // namespace tenon
