/// PTX to machine code of a GPU, by what of the CUDA toolkit is here.
#pragma once

#include "Ptxas.h"

#include <cstdint>
#include <string>

namespace tenon::command {

enum class CubinMaker : uint8_t { kAny, kPtxas, kNvJitLink }; ///< kAny: ptxas, else nvJitLink

/// "ptxas at /usr/local/cuda/bin/ptxas", "libnvJitLink.so.13". Errors: kUnsupported with what is
/// missing.
Result<std::string> find_cubin_maker(CubinMaker maker);

/// Errors: those of find_cubin_maker; kCompilation with the maker's words.
Result<Assembled> make_cubin(const std::string &ptx, const std::string &target, CubinMaker maker);

} // namespace tenon::command
