/// PTX to machine code of a GPU, by whatever of the CUDA toolkit is here: ptxas, else nvJitLink.
#pragma once

#include "Ptxas.h"

#include <string>

namespace tenon::command {

/// "ptxas at /usr/local/cuda/bin/ptxas", "libnvJitLink.so.13". Errors: kUnsupported with what is
/// missing.
Result<std::string> cubin_maker();

/// Errors: those of `assemble`; kCompilation with nvJitLink's words.
Result<Assembled> make_cubin(const std::string &ptx, const std::string &target);

/// By nvJitLink alone. Errors: kUnsupported, kCompilation.
Result<Assembled> link_cubin(const std::string &ptx, const std::string &target);

} // namespace tenon::command
