/// What the subcommands of `tenon cache` share.
#pragma once

#include "Command.h"

#include "tenon/KernelImage.h"

namespace tenon::command {

void add_cache_build(CLI::App &cache, Action &action);
void add_cache_record(CLI::App &cache, Action &action);

/// Machine code as text, by llvm-objdump or objdump, nvdisasm or cuobjdump, whichever is there;
/// a line that says which are missing where none is.
std::string disassemble(const ImageSection &section);

} // namespace tenon::command
