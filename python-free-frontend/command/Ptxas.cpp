#include "Ptxas.h"

#include "Command.h"
#include "Subprocess.h"

#include <algorithm>
#include <regex>

namespace tenon::command {
namespace {

/// The largest number that stands in the place of the pattern's group: of the entry that needs most.
int largest(const std::string &text, const char *pattern) {
  const std::regex expression(pattern);
  int most = 0;
  for (std::sregex_iterator match(text.begin(), text.end(), expression), end; match != end; ++match)
    most = std::max(most, std::stoi((*match)[1]));
  return most;
}

} // namespace

Result<std::string> find_ptxas() {
  const std::string found = find_program("ptxas");
  if (!found.empty())
    return found;
  return Error(ErrorCode::kUnsupported,
               "ptxas is not on PATH; it is part of the CUDA toolkit: cubins need it, nothing else needs them");
}

void read_numbers(const std::string &said, Assembled &assembled) {
  assembled.registers = largest(said, R"(Used (\d+) registers)");
  assembled.spill_store_bytes = largest(said, R"((\d+) bytes spill stores)");
  assembled.spill_load_bytes = largest(said, R"((\d+) bytes spill loads)");
  assembled.shared_bytes = largest(said, R"((\d+) bytes smem)");
}

Result<Assembled> assemble(const std::string &ptx, const std::string &target) {
  TENON_ASSIGN_OR_RETURN(const std::string ptxas, find_ptxas());
  const Scratch scratch;
  if (scratch.path().empty())
    return Error(ErrorCode::kIo, "no temporary folder can be made");
  const std::string source = scratch.path() + "/kernel.ptx",
                    cubin = scratch.path() + "/kernel.cubin", log = scratch.path() + "/log";
  TENON_TRY(replace_file(source, ptx));
  const int status = run_program({ptxas, "-v", "-arch=" + target, source, "-o", cubin}, log);
  TENON_ASSIGN_OR_RETURN(const std::string said, read_text(log));
  if (status != 0)
    return Error(ErrorCode::kCompilation, "ptxas: " + said);
  Assembled assembled;
  TENON_ASSIGN_OR_RETURN(assembled.cubin, read_text(cubin));
  read_numbers(said, assembled);
  return assembled;
}

} // namespace tenon::command
