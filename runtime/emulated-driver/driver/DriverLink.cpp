// The linker: several PTX texts become one, which stands for the machine code that a card's linker would make.
#include "driver/FatBinary.h"
#include "driver/Jit.h"
#include "ptx/Parser.h"
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

namespace tenon::emulator {

struct LinkObject {
  JitOptions jit;
  std::string text; // of all inputs so far
  bool complete = false;
};

namespace {
/// The text of a further input, without the directives that a text has once.
std::string without_header(const std::string &text) {
  std::string kept, line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    size_t first = line.find_first_not_of(" \t");
    bool header = false;
    for (std::string_view directive : {".version", ".target", ".address_size"})
      header |= first != std::string::npos && line.compare(first, directive.size(), directive) == 0;
    kept += (header ? "" : line) + "\n"; // lines keep their numbers
  }
  return kept;
}

Status add(LinkObject &link, int capability, int type, const void *data, size_t bytes, const std::string &name) {
  std::string text, log;
  Status status = kSuccess;
  if (type == kInputPtx)
    text.assign(static_cast<const char *>(data), strnlen(static_cast<const char *>(data), bytes));
  else if (type == kInputFatBinary && bytes > sizeof(uint32_t) && is_fat_binary(data))
    status = ptx_of_fat_binary(data, capability, text, log) ? kSuccess : kNoBinaryForGpu;
  else {
    log = "the emulated driver links PTX text alone";
    status = kNoBinaryForGpu;
  }
  if (status == kSuccess) {
    auto parsed = parse_ptx(text);
    if (auto *diagnostic = std::get_if<Diagnostic>(&parsed)) {
      log = name + ": " + diagnostic->text();
      status = kInvalidPtx;
    }
  }
  link.jit.write(log, nullptr);
  if (status == kSuccess)
    link.text += link.text.empty() ? text : "\n" + without_header(text);
  return status;
}
} // namespace
} // namespace tenon::emulator

using namespace tenon::emulator;

TENON_DRIVER_ENTRY Status cuLinkCreate_v2(unsigned count, int *options, void **values, LinkObject **link) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!link)
    return kInvalidValue;
  auto made = std::make_shared<LinkObject>();
  if (Status status = made->jit.read(count, options, values))
    return status;
  *link = made.get();
  call.driver.links[made.get()] = std::move(made);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuLinkAddData_v2(LinkObject *link, int type, void *data, size_t bytes, const char *name,
                                           unsigned count, int *options, void **values) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.driver.links.count(link))
    return kInvalidHandle;
  JitOptions own;
  if (!data || bytes == 0 || type < 0 || type >= kInputTypes || link->complete)
    return kInvalidValue;
  if (Status status = own.read(count, options, values))
    return status;
  return add(*link, call.driver.model->capability, type, data, bytes, name ? name : "input");
}
TENON_DRIVER_ENTRY Status cuLinkAddFile_v2(LinkObject *link, int type, const char *path, unsigned count, int *options,
                                           void **values) {
  if (!path)
    return kInvalidValue;
  std::ifstream file(path, std::ios::binary);
  std::string image{std::istreambuf_iterator<char>(file), {}};
  if (!file || image.empty())
    return kFileNotFound;
  return cuLinkAddData_v2(link, type, image.data(), image.size(), path, count, options, values);
}
TENON_DRIVER_ENTRY Status cuLinkComplete(LinkObject *link, void **image, size_t *bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.driver.links.count(link))
    return kInvalidHandle;
  if (!image || link->text.empty())
    return kInvalidValue;
  std::string log;
  ModuleObject *module = nullptr; // linked for a trial, so that the linker refuses what loading would
  Status status =
      load_module(*call.context, *call.driver.model, link->text.c_str(), link->jit.most_registers, module, log);
  link->jit.write(log, module);
  if (status != kSuccess)
    return status;
  unload_module(*call.context, module);
  link->complete = true;
  *image = link->text.data();
  if (bytes)
    *bytes = link->text.size() + 1;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuLinkDestroy(LinkObject *link) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.driver.links.erase(link) ? kSuccess : kInvalidHandle;
}
