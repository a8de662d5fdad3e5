#include "compiler/driver/Compile.h"

#include "tenon/Fingerprint.h"

#include <chrono>
#include <cstdlib>
#include <cstring>

namespace {

void compile(const char *request, size_t size, TenonCompileResult *result) {
  auto start = std::chrono::steady_clock::now();
  tenon::CompileAnswer answer = tenon::compileRequest({request, size});
  std::string bytes = answer.payload();
  result->status = answer.status;
  result->bytes = static_cast<unsigned char *>(std::malloc(bytes.size() + 1));
  result->size = result->bytes ? bytes.size() : 0;
  if (result->bytes)
    std::memcpy(result->bytes, bytes.data(), bytes.size());
  else
    result->status = TENON_FAILED;
  result->milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void release(TenonCompileResult *result) {
  std::free(result->bytes);
  *result = {};
}

} // namespace

extern "C" __attribute__((visibility("default"))) const TenonCompilerInterface *
tenon_compiler_interface(void) {
  static const TenonCompilerInterface interface = {TENON_COMPILER_INTERFACE_VERSION, compile, release,
                                                   tenon::kRuntimeFingerprint, tenon::kCodeGenerationVersion};
  return &interface;
}
