#include "compiler/driver/Request.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"

#include "tenon/Target.h"

using namespace tenon;

namespace json = llvm::json;

namespace {

constexpr std::pair<llvm::StringLiteral, Emit> kEmits[] = {
    {"image", Emit::kImage}, {"attention", Emit::kAttention}, {"tile", Emit::kTile}, {"nvvm", Emit::kNvvm},
    {"llvm", Emit::kLlvm},   {"ptx", Emit::kPtx},             {"asm", Emit::kAsm}};

// Options of a request, by name.
constexpr std::pair<llvm::StringLiteral, int64_t Request::*> kOptions[] = {
    {"tile_queries", &Request::tileQueries}, {"tile_keys", &Request::tileKeys}, {"query_groups", &Request::queryGroups}, {"stages", &Request::stages},
    {"warps", &Request::warps}};
// Names: compiler/attention/ChooseSchedule.td, Effects.h.
constexpr std::pair<llvm::StringLiteral, std::string Request::*> kNames[] = {
    {"rescaling", &Request::rescaling}, {"shared", &Request::shared}, {"without", &Request::without}};

llvm::Error wrong(const llvm::Twine &message) { return llvm::createStringError(message); }

std::string written(const json::Value &value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

llvm::Error readEmit(const json::Object &object, Request &request) {
  llvm::StringRef name = object.getString("emit").value_or("image");
  const auto *found = llvm::find_if(kEmits, [&](const auto &entry) { return entry.first == name; });
  if (found == std::end(kEmits))
    return wrong("\"emit\" is '" + name + "', must be image, attention, tile, nvvm, llvm, ptx or asm");
  request.emit = found->second;
  // A stage that the target's way does not pass through is a wrong request, not an empty answer.
  bool gpuOnly = request.emit == Emit::kNvvm || request.emit == Emit::kPtx;
  if ((gpuOnly && !request.isGpu()) || (request.emit == Emit::kAsm && request.isGpu()))
    return wrong("\"emit\" is '" + name + "', which a " + (request.isGpu() ? "GPU" : "host") +
                 " target does not have");
  return llvm::Error::success();
}

// What is wrong with one, or "".
std::string readOptions(const json::Object &object, Request &request) {
  const json::Value *given = object.get("options");
  request.options = given ? written(*given) : "{}";
  if (!given)
    return "";
  const json::Object *options = given->getAsObject();
  if (!options)
    return "\"options\" must be an object";
  for (const auto &[name, value] : *options) {
    auto isThis = [&, &name = name](const auto &entry) { return entry.first == name.str(); };
    const auto *named = llvm::find_if(kNames, isThis);
    if (named != std::end(kNames)) {
      std::optional<llvm::StringRef> text = value.getAsString();
      if (!text)
        return "the option \"" + name.str() + "\" must be a text";
      request.*named->second = text->str();
      continue;
    }
    const auto *found = llvm::find_if(kOptions, isThis);
    if (found == std::end(kOptions))
      return "the option \"" + name.str() +
             "\" is unknown; there are tile_queries, tile_keys, query_groups, stages, warps, rescaling, shared and without";
    std::optional<int64_t> number = value.getAsInteger();
    if (!number || *number < 0)
      return "the option \"" + name.str() + "\" must be a number, 0 for the compiler's choice";
    request.*found->second = *number;
  }
  if (request.isGpu() && !request.without.empty())
    return "\"without\" is '" + request.without + "': such effects are of the host";
  return "";
}

llvm::Error read(const json::Object &object, Request &request) {
  std::optional<llvm::StringRef> graph = object.getString("graph"), target = object.getString("target");
  const json::Value *signature = object.get("signature");
  if (!graph || !target || !signature)
    return wrong("a request has \"graph\", \"signature\" and \"target\"");
  auto parsedGraph = Graph::parse(std::string_view(*graph));
  if (!parsedGraph)
    return wrong("graph: " + llvm::Twine(parsedGraph.error().message()));
  auto parsedSignature = Signature::parse(written(*signature));
  if (!parsedSignature)
    return wrong(parsedSignature.error().message());
  auto parsedTarget = Target::parse(std::string_view(*target));
  if (!parsedTarget)
    return wrong(parsedTarget.error().message());
  request.graph = parsedGraph->canonical();
  request.signature = std::move(*parsedSignature);
  request.target = parsedTarget->text();
  if (llvm::Error error = readEmit(object, request))
    return error;
  request.wrongOption = readOptions(object, request);
  return llvm::Error::success();
}

} // namespace

llvm::Expected<Request> Request::parse(llvm::StringRef text) {
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return value.takeError();
  const json::Object *object = value->getAsObject();
  if (!object)
    return wrong("a request is a JSON object");
  Request request;
  if (llvm::Error error = read(*object, request))
    return error;
  return request;
}
