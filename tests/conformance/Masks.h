/// What a case's mask holds.
#pragma once

#include "Cases.h"

namespace tenon::conformance {

Tensor make_mask(const Case &c);

} // namespace tenon::conformance
