#include "Cache.h"
#include "Subprocess.h"

namespace tenon::command {
namespace {

struct Disassembler {
  const char *program;
  std::vector<std::string> options;
};

// Host code is a flat image without any header; it begins at address 0.
const std::vector<Disassembler> &disassemblers(SectionKind kind) {
  static const std::vector<Disassembler> host = {
      {"objdump", {"-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel"}}};
  static const std::vector<Disassembler> gpu = {{"nvdisasm", {}}, {"cuobjdump", {"-sass"}}};
  return kind == SectionKind::kHostCode ? host : gpu;
}

} // namespace

std::string disassemble(const ImageSection &section) {
  const Scratch scratch;
  std::string missing;
  for (const Disassembler &each : disassemblers(section.kind)) {
    const std::string program = find_program(each.program);
    missing += (missing.empty() ? "" : ", ") + std::string(each.program);
    if (program.empty())
      continue;
    const std::string code = scratch.path() + "/code", log = scratch.path() + "/text";
    std::vector<std::string> words = {program};
    words.insert(words.end(), each.options.begin(), each.options.end());
    words.push_back(code);
    const bool written = replace_file(code, {reinterpret_cast<const char *>(section.bytes.data()),
                                           section.bytes.size()})
                             .ok();
    if (written && run_program(words, log) == 0)
      if (Result<std::string> text = read_text(log))
        return *text;
  }
  return "(to disassemble this, one of these must be installed: " + missing + ")\n";
}

} // namespace tenon::command
