/// NVIDIA's assembler, where it is installed: PTX to cubin, and what it says of registers and
/// spills.
#pragma once

#include "tenon/Result.h"

#include <string>

namespace tenon::command {

struct Assembled {
  std::string cubin;
  int registers = 0, spill_store_bytes = 0, spill_load_bytes = 0, shared_bytes = 0;
};

/// The path of ptxas: on PATH, or under /usr/local/cuda. Errors: kUnsupported where there is none.
Result<std::string> find_ptxas();

/// Fills in the numbers from what `ptxas -v` says: of the entry that needs most.
void read_numbers(const std::string &said, Assembled &assembled);

/// Errors: kUnsupported without ptxas, kCompilation with its words.
Result<Assembled> assemble(const std::string &ptx, const std::string &target);

} // namespace tenon::command
