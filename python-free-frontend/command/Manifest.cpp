#include "Manifest.h"

#include "tenon/DataType.h"
#include "tenon/Graph.h"
#include "tenon/Signature.h"
#include "tenon/Target.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

namespace tenon::command {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxKernels = 100'000; // a range that says more is a mistake
constexpr int64_t kMaxNumber = INT32_MAX;
constexpr std::string_view kDtypes[] = {"f32", "f16", "bf16"};
constexpr std::string_view kCausals[] = {"false", "true", "top-left", "bottom-right"};
constexpr std::string_view kMasks[] = {"none", "bool", "additive"};

// The first thing wrong is kept.
class Reader {
public:
  void fail(const std::string &where, const Json &value, const std::string &expected) {
    constexpr size_t kShown = 60;
    std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > kShown)
      text = text.substr(0, kShown) + "…";
    if (!error)
      error = Error::invalid_argument(where, text, expected);
  }
  // A member that nobody reads is a misspelling.
  void only(const Json &object, const std::string &where, std::span<const std::string_view> known) {
    if (!object.is_object())
      return fail(where, object, "an object");
    for (const auto &[key, value] : object.items())
      if (std::ranges::find(known, key) == known.end())
        fail(where + "." + key, value, "absent: there is no such member");
  }
  std::string string(const Json &object, const char *key, const std::string &where) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string()) {
      fail(where + "." + key, found == object.end() ? Json() : *found, "a string");
      return {};
    }
    return found->get<std::string>();
  }
  std::optional<Error> error;
};

bool is_number(const Json &value) {
  return value.is_number_integer() && value >= 0 && value <= kMaxNumber;
}

// A value, a list, or a range: its values.
std::vector<Json> values_of(Reader &reader, const Json &value, const std::string &where) {
  if (value.is_array()) {
    if (value.empty())
      reader.fail(where, value, "at least one value");
    return {value.begin(), value.end()};
  }
  if (!value.is_object())
    return {value};
  constexpr std::string_view kKnown[] = {"from", "to", "step"};
  reader.only(value, where, kKnown);
  for (std::string_view key : kKnown)
    if (!value.contains(key) || !is_number(value[std::string(key)]) ||
        (key == "step" && value["step"] == 0)) {
      reader.fail(where, value, R"({"from": …, "to": …, "step": at least 1})");
      return {};
    }
  std::vector<Json> values;
  for (int64_t number = value["from"], end = value["to"], step = value["step"];
       number <= end && values.size() <= kMaxKernels; number += step)
    values.emplace_back(number);
  if (values.empty())
    reader.fail(where, value, "a range with a value in it");
  return values;
}

struct Member {
  const char *key;
  std::function<bool(KernelShape &, const Json &)> take;
  const char *expected;
};

auto number(int64_t KernelShape::*to, int64_t least) {
  return [=](KernelShape &shape, const Json &value) {
    if (!is_number(value) || value < least)
      return false;
    shape.*to = value.get<int64_t>();
    return true;
  };
}
auto flag(bool KernelShape::*to) {
  return [=](KernelShape &shape, const Json &value) {
    if (value.is_boolean())
      shape.*to = value.get<bool>();
    return value.is_boolean();
  };
}
auto word(std::string KernelShape::*to, std::span<const std::string_view> words) {
  return [=](KernelShape &shape, const Json &value) {
    const std::string text = value.is_string()    ? value.get<std::string>()
                             : value.is_boolean() ? value.dump()
                                                  : "";
    if (std::ranges::find(words, text) == words.end())
      return false;
    shape.*to = text;
    return true;
  };
}

const std::vector<Member> &members() {
  static const std::vector<Member> all = {
      {"heads", number(&KernelShape::heads, 1), "a number of at least 1"},
      {"kv_heads", number(&KernelShape::key_heads, 0), "a number; 0 for as many as heads"},
      {"head_dim", number(&KernelShape::head_dim, 1), "a number of at least 1"},
      {"value_dim", number(&KernelShape::value_dim, 0), "a number; 0 for head_dim"},
      {"dtype", word(&KernelShape::dtype, kDtypes), "f32, f16 or bf16"},
      {"causal", word(&KernelShape::causal, kCausals), "false, true, top-left or bottom-right"},
      {"mask", word(&KernelShape::mask, kMasks), "none, bool or additive"},
      {"dropout", flag(&KernelShape::dropout), "false or true"},
      {"logsumexp", flag(&KernelShape::logsumexp), "false or true"}};
  return all;
}

std::vector<KernelShape> read_shapes(Reader &reader, const Json &object, const std::string &where) {
  std::vector<std::string_view> known;
  for (const Member &member : members())
    known.emplace_back(member.key);
  reader.only(object, where, known);
  std::vector<KernelShape> shapes(1);
  for (const Member &member : members()) {
    if (reader.error || !object.contains(member.key))
      continue;
    const std::string path = where + "." + member.key;
    std::vector<KernelShape> more;
    const std::vector<Json> values = values_of(reader, object[member.key], path);
    if (shapes.size() * values.size() > kMaxKernels)
      reader.fail(path, object[member.key], "at most 100000 kernels in all");
    for (size_t i = 0; !reader.error && i < shapes.size(); ++i)
      for (const Json &value : values) {
        more.push_back(shapes[i]);
        if (!member.take(more.back(), value))
          reader.fail(path, value, member.expected);
      }
    shapes = std::move(more);
  }
  for (const KernelShape &shape : shapes)
    if (shape.key_heads != 0 && shape.heads % shape.key_heads != 0)
      reader.fail(where + ".kv_heads", shape.key_heads,
                  "a divisor of " + std::to_string(shape.heads) + ", the heads");
  return shapes;
}

void read_graph(Reader &reader, const Json &object, ManifestKernel &kernel) {
  kernel.graph = reader.string(object, "graph", kernel.place);
  if (reader.error)
    return;
  if (const Result<Graph> graph = Graph::parse(kernel.graph); !graph)
    reader.fail(kernel.place + ".graph", object["graph"], "a graph: " + graph.error().message());
  if (!object.contains("signature"))
    return reader.fail(kernel.place + ".signature", Json(), "a signature");
  const Result<Signature> signature = Signature::parse(object["signature"].dump());
  if (signature)
    kernel.signature = signature->text();
  else
    reader.fail(kernel.place + ".signature", object["signature"], signature.error().message());
}

void read_kernel(Reader &reader, const Json &object, const std::string &where,
                 std::vector<ManifestKernel> &kernels) {
  struct Kind {
    const char *key;
    std::vector<std::string_view> known;
  };
  static const Kind kinds[] = {{"sdpa", {"sdpa", "options"}},
                               {"graph", {"graph", "signature", "options"}},
                               {"file", {"file", "shape", "options"}}};
  const auto kind = std::ranges::find_if(
      kinds, [&](const Kind &each) { return object.is_object() && object.contains(each.key); });
  if (kind == std::end(kinds))
    return reader.fail(where, object, "an object with sdpa, graph or file");
  reader.only(object, where, kind->known);
  ManifestKernel kernel;
  kernel.place = where;
  if (object.contains("options") && !object["options"].is_object())
    return reader.fail(where + ".options", object["options"], "an object");
  if (object.contains("options"))
    kernel.options = object["options"].dump(-1, ' ', false, Json::error_handler_t::replace);
  if (kind == &kinds[1]) {
    read_graph(reader, object, kernel);
    kernels.push_back(std::move(kernel));
    return;
  }
  if (kind == &kinds[2])
    kernel.file = reader.string(object, "file", where);
  const char *shape = kind == &kinds[0] ? "sdpa" : "shape";
  for (KernelShape &each :
       read_shapes(reader, object.value(shape, Json::object()), where + "." + shape)) {
    kernels.push_back(kernel);
    kernels.back().shape = std::move(each);
  }
}

// JSON is written again by recursion: depth is bounded before anything else.
bool too_deep(std::string_view text) {
  constexpr int kMaxDepth = 64;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted)
      depth += (text[i] == '[' || text[i] == '{') - (text[i] == ']' || text[i] == '}');
    if (depth > kMaxDepth)
      return true;
  }
  return false;
}

Manifest read_manifest(Reader &reader, const Json &object) {
  constexpr std::string_view kKnown[] = {"tenon_manifest", "targets", "kernels"};
  Manifest manifest;
  reader.only(object, "manifest", kKnown);
  if (reader.error)
    return manifest;
  if (object.value("tenon_manifest", Json()) != 1)
    reader.fail("tenon_manifest", object.value("tenon_manifest", Json()), "1");
  const Json targets = object.value("targets", Json::array());
  if (!targets.is_array())
    reader.fail("targets", targets, "a list of targets");
  for (const Json &target : targets.is_array() ? targets : Json::array()) {
    const std::string name = target.is_string() ? target.get<std::string>() : "";
    if (const Result<Target> known = Target::parse(name); !known)
      reader.fail("targets", target, known.error().message());
    manifest.targets.push_back(name);
  }
  const Json kernels = object.value("kernels", Json());
  if (!kernels.is_array() || kernels.empty())
    reader.fail("kernels", kernels, "a list with at least one kernel");
  for (size_t i = 0; !reader.error && i < kernels.size(); ++i) {
    read_kernel(reader, kernels[i], "kernels[" + std::to_string(i) + "]", manifest.kernels);
    if (manifest.kernels.size() > kMaxKernels)
      reader.fail("kernels", i, "at most 100000 kernels in all");
  }
  return manifest;
}

} // namespace

Result<Manifest> parse_manifest(std::string_view text) {
  const Json object = too_deep(text) ? Json(Json::value_t::discarded)
                                     : Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded())
    return Error(ErrorCode::kInvalidArgument, "manifest: the text is not JSON, or nested too deep");
  Reader reader;
  Manifest manifest = read_manifest(reader, object);
  if (reader.error)
    return *reader.error;
  return manifest;
}

} // namespace tenon::command
