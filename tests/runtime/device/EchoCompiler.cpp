// A compiler library for tests: refuses, fails or answers with its own request, as the graph's text
// says.
#include "tenon/CompilerInterface.h"
#include "tenon/Fingerprint.h"

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

void answer(TenonCompileResult *result, TenonCompileStatus status, std::string_view text) {
  result->status = status;
  result->size = text.size();
  result->bytes = static_cast<unsigned char *>(std::malloc(text.size() + 1));
  std::memcpy(result->bytes, text.data(), text.size());
  result->milliseconds = 1.5;
}

void compile(const char *request, size_t size, TenonCompileResult *result) {
  std::string_view text(request, size);
  if (text.find("\"refuse\"") != text.npos)
    answer(
        result, TENON_REFUSED,
        R"({"message": "no schedule fits", "reasons": [{"what": "tile 64", "why": "too wide"}]})");
  else if (text.find("\"fail\"") != text.npos)
    answer(result, TENON_FAILED, "out of cheese");
  else
    answer(result, TENON_COMPILED, text);
}

void release(TenonCompileResult *result) {
  std::free(result->bytes);
}

} // namespace

extern "C" __attribute__((visibility("default"))) const TenonCompilerInterface *
tenon_compiler_interface() {
  static const TenonCompilerInterface interface = {
      .version = TENON_COMPILER_INTERFACE_VERSION + NEWER_INTERFACE,
      .compile = compile,
      .release = release,
      .fingerprint = tenon::kRuntimeFingerprint + NEWER_HEADERS,
      .code_generation = tenon::kCodeGenerationVersion + NEWER_CODE};
  return &interface;
}
