#include "tenon/Compiler.h"

#include "device/Library.h"
#include "device/Text.h"
#include "tenon/CompilerInterface.h"
#include "tenon/Fingerprint.h"
#include "tenon/FloatingPointMode.h"
#include "tenon/Version.h"

#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>

namespace tenon {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Result<void> check_compiler(const TenonCompilerInterface *compiler, const std::string &path) {
  if (!compiler || compiler->version != TENON_COMPILER_INTERFACE_VERSION)
    return Error(ErrorCode::kUnsupported,
                 concat(path, " speaks version ", compiler ? compiler->version : 0,
                        " of the compiler interface; this runtime speaks ",
                        TENON_COMPILER_INTERFACE_VERSION));
  if (compiler->code_generation != kCodeGenerationVersion)
    return Error(ErrorCode::kUnsupported,
                 concat(path, " makes code of generation ", compiler->code_generation,
                        "; this runtime keeps generation ", kCodeGenerationVersion,
                        ": build or install both together"));
  if (compiler->fingerprint != kRuntimeFingerprint)
    return Error(ErrorCode::kUnsupported,
                 concat(path, " was built with the headers of another runtime: build or install "
                              "both together"));
  return {};
}

Result<const TenonCompilerInterface *> open_compiler() {
  static std::mutex mutex;
  static const TenonCompilerInterface *opened = nullptr;
  std::lock_guard lock(mutex);
  if (opened)
    return opened;
  std::string path = compiler_library();
  TENON_ASSIGN_OR_RETURN(Library library, Library::open(path));
  auto entry = reinterpret_cast<TenonCompilerEntry>(library.symbol(TENON_COMPILER_ENTRY));
  if (!entry)
    return Error(ErrorCode::kUnsupported, concat(path, " exports no " TENON_COMPILER_ENTRY));
  const TenonCompilerInterface *compiler = entry();
  TENON_TRY(check_compiler(compiler, path));
  library.keep(); // LLVM does not survive being unloaded
  return opened = compiler;
}

// A member of the request that is JSON itself.
Result<ordered_json> embedded(const char *name, const std::string &text) {
  ordered_json value = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object())
    return Error::invalid_argument(name, text, "a JSON object");
  return value;
}

Result<std::string> write_request(const CompileRequest &request) {
  TENON_ASSIGN_OR_RETURN(ordered_json signature, embedded("signature", request.signature));
  TENON_ASSIGN_OR_RETURN(ordered_json options, embedded("options", request.options));
  ordered_json object = {{"graph", request.graph},
                         {"signature", std::move(signature)},
                         {"target", request.target},
                         {"emit", request.emit},
                         {"options", std::move(options)}};
  return object.dump(-1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace);
}

std::string text_at(const json &object, const char *key) {
  auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
             ? found->get<std::string>()
             : std::string();
}

// {"message", "reasons": [{"what", "why"}…]}, or whatever text the compiler gave instead.
Error read_failure(TenonCompileStatus status, const std::string &text) {
  ErrorCode code = status == TENON_REFUSED ? ErrorCode::kCompilation : ErrorCode::kInternal;
  json failure = json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string message = text_at(failure, "message");
  if (message.empty())
    return Error(code, concat("the compiler failed: ", text.empty() ? "it gave no reason" : text));
  std::vector<Reason> reasons;
  if (auto list = failure.find("reasons"); list != failure.end() && list->is_array())
    for (const json &reason : *list)
      reasons.push_back({text_at(reason, "what"), text_at(reason, "why")});
  for (const Reason &reason : reasons)
    message += concat("\n  ", reason.what, ": ", reason.why);
  return Error(code, std::move(message)).with_reasons(std::move(reasons));
}

} // namespace

std::string compiler_library() {
  if (const char *given = std::getenv("TENON_COMPILER_LIBRARY"); given && *given)
    return given;
  const std::string_view version = tenon::version();
  return beside_runtime({concat("libtenon-compiler.so.", version.substr(0, version.rfind('.')))});
}

Result<void> compiler_available() {
  Result<const TenonCompilerInterface *> compiler = open_compiler();
  return compiler ? Result<void>() : Result<void>(compiler.error());
}

Result<CompileOutcome> compile_kernel(const CompileRequest &request) {
  const FloatingPointMode mode(Subnormals::kKept);
  TENON_ASSIGN_OR_RETURN(std::string text, write_request(request));
  TENON_ASSIGN_OR_RETURN(const TenonCompilerInterface *compiler, open_compiler());
  TenonCompileResult result = {};
  compiler->compile(text.data(), text.size(), &result);
  struct Release {
    const TenonCompilerInterface *compiler;
    TenonCompileResult *result;
    ~Release() { compiler->release(result); }
  } release{compiler, &result};
  const auto *bytes = reinterpret_cast<const std::byte *>(result.bytes);
  if (result.status == TENON_COMPILED)
    return CompileOutcome{{bytes, bytes + result.size}, result.milliseconds};
  return read_failure(result.status, {reinterpret_cast<const char *>(result.bytes), result.size});
}

} // namespace tenon
