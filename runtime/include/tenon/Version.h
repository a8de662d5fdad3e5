/// Which Tenon this is: the headers' version by macro, the loaded library's by function.
#pragma once

#include "tenon/Api.h"

#include <string_view>

#define TENON_VERSION_MAJOR 0
#define TENON_VERSION_MINOR 1
#define TENON_VERSION_PATCH 0
#define TENON_VERSION "0.1.0"

namespace tenon {

/// Of the library that the program runs with, "0.1.0"; the macros are what it was compiled against.
TENON_API std::string_view version();

} // namespace tenon
