#include "image/ImageHeader.h"

#include "device/Text.h"

#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

namespace tenon {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// In the order of the enumerations.
constexpr std::string_view kSectionKinds[] = {"host_code", "ptx", "cubin"};
constexpr std::string_view kRoles[] = {"input", "output", "workspace"};
constexpr std::string_view kDimensions[] = {"one",       "batch",        "heads",
                                            "key_heads", "query_length", "key_length"};

template <typename Enum>
std::string_view word(std::span<const std::string_view> words, Enum value) {
  return words[static_cast<size_t>(value)];
}

// Three extents, each [dimension, divisor, multiplier, times, times_divisor, most_times].
ordered_json write_extents(const GridExtent (&extents)[3]) {
  ordered_json list = ordered_json::array();
  for (const GridExtent &extent : extents)
    list.push_back({word(kDimensions, extent.dimension), extent.divisor, extent.multiplier,
                    word(kDimensions, extent.times), extent.times_divisor, extent.most_times});
  return list;
}

// [least queries, most, least keys, most]
ordered_json write_condition(const LaunchCondition &when) {
  return {when.queries.least, when.queries.most, when.keys.least, when.keys.most};
}

ordered_json write_phase(const LaunchPhase &phase) {
  return {{"entry", phase.entry},
          {"grid", write_extents(phase.grid)},
          {"threads", phase.threads},
          {"shared_bytes", phase.shared_bytes},
          {"workspace", {phase.workspace.fixed_bytes, phase.workspace.bytes_per_block}},
          {"code_offset", phase.code_offset},
          {"when", write_condition(phase.when)}};
}

// Walks JSON with every access checked. After the first failure all reads give defaults, and `what`
// says which field it was.
class Walker {
public:
  const json &at(const json &object, const char *key) {
    auto found = object.is_object() ? object.find(key) : object.end();
    if (object.is_object() && found != object.end())
      return *found;
    fail(key);
    return nothing_;
  }

  const json &array(const json &object, const char *key, size_t least, size_t most) {
    const json &value = at(object, key);
    if (value.is_array() && value.size() >= least && value.size() <= most)
      return value;
    fail(key);
    return empty_;
  }

  template <typename Number>
  Number number(const json &value, const char *key, Number least = 0,
                Number most = std::numeric_limits<Number>::max()) {
    if (value.is_number_unsigned() && value.get<uint64_t>() >= static_cast<uint64_t>(least) &&
        value.get<uint64_t>() <= static_cast<uint64_t>(most))
      return value.get<Number>();
    fail(key);
    return least;
  }

  std::string string(const json &object, const char *key) {
    const json &value = at(object, key);
    if (value.is_string())
      return value.get<std::string>();
    fail(key);
    return {};
  }

  bool boolean(const json &object, const char *key) {
    const json &value = at(object, key);
    if (!value.is_boolean())
      fail(key);
    return value.is_boolean() && value.get<bool>();
  }

  template <typename Enum>
  Enum one_of(const json &value, std::span<const std::string_view> words, const char *key) {
    if (value.is_string())
      for (size_t i = 0; i < words.size(); ++i)
        if (value.get_ref<const std::string &>() == words[i])
          return static_cast<Enum>(i);
    fail(key);
    return Enum{};
  }

  void fail(const char *key) {
    if (what.empty())
      what = key;
  }

  std::string what;

private:
  const json nothing_;
  const json empty_ = json::array();
};

constexpr size_t kMaxPhases = 64, kMaxSections = 64;
constexpr uint64_t kMaxWorkspaceBytes = uint64_t{1}
                                        << 40; // so that sums and products stay in 64 bits

void read_extents(Walker &walker, const json &value, const char *key, GridExtent (&extents)[3]) {
  const json &list = walker.array(value, key, 3, 3);
  for (size_t i = 0; i < list.size(); ++i) {
    const json &given = list[i];
    if (!given.is_array() || given.size() != 6) {
      walker.fail(key);
      continue;
    }
    extents[i] = {walker.one_of<Dimension>(given[0], kDimensions, key),
                  walker.number<uint32_t>(given[1], key, 1),
                  walker.number<uint32_t>(given[2], key, 1),
                  walker.one_of<Dimension>(given[3], kDimensions, key),
                  walker.number<uint32_t>(given[4], key, 1),
                  walker.number<uint32_t>(given[5], key)};
  }
}

LaunchCondition read_condition(Walker &walker, const json &value) {
  int32_t bounds[4] = {};
  const json &list = walker.array(value, "when", 4, 4);
  for (size_t i = 0; i < list.size(); ++i)
    bounds[i] = walker.number<int32_t>(list[i], "when");
  if (bounds[0] > bounds[1] || bounds[2] > bounds[3])
    walker.fail("when");
  return {{bounds[0], bounds[1]}, {bounds[2], bounds[3]}};
}

LaunchPhase read_phase(Walker &walker, const json &value) {
  LaunchPhase phase;
  phase.entry = walker.string(value, "entry");
  read_extents(walker, value, "grid", phase.grid);
  phase.threads = walker.number<uint32_t>(walker.at(value, "threads"), "threads", 1);
  phase.shared_bytes = walker.number<uint32_t>(walker.at(value, "shared_bytes"), "shared_bytes");
  const json &workspace = walker.array(value, "workspace", 2, 2);
  if (workspace.size() == 2)
    phase.workspace = {walker.number<uint64_t>(workspace[0], "workspace", 0, kMaxWorkspaceBytes),
                       walker.number<uint64_t>(workspace[1], "workspace", 0, kMaxWorkspaceBytes)};
  phase.code_offset = walker.number<uint64_t>(walker.at(value, "code_offset"), "code_offset");
  phase.when = read_condition(walker, value);
  return phase;
}

LaunchDescription read_launch(Walker &walker, const json &value) {
  LaunchDescription launch;
  for (const json &phase : walker.array(value, "phases", 0, kMaxPhases))
    launch.phases.push_back(read_phase(walker, phase));
  for (const json &slot : walker.array(value, "tensors", 0, kMaxTensorArguments)) {
    bool is_pair = slot.is_array() && slot.size() == 2;
    if (!is_pair)
      walker.fail("tensors");
    else
      launch.tensors.push_back({walker.one_of<TensorRole>(slot[0], kRoles, "tensors"),
                                walker.number<int32_t>(slot[1], "tensors")});
  }
  for (const json &scalar : walker.array(value, "scalars", 0, kMaxScalarArguments))
    launch.scalars.push_back(walker.number<int32_t>(scalar, "scalars"));
  for (const json &given : walker.array(value, "workspace_tensors", 0, kMaxTensorArguments)) {
    WorkspaceTensor tensor;
    read_extents(walker, given, "sizes", tensor.sizes);
    tensor.width = walker.number<uint32_t>(walker.at(given, "width"), "width", 1);
    tensor.when = read_condition(walker, given);
    launch.workspace_tensors.push_back(tensor);
  }
  for (const TensorSlot &slot : launch.tensors)
    if (slot.role == TensorRole::kWorkspace &&
        static_cast<size_t>(slot.index) >= launch.workspace_tensors.size())
      walker.fail("tensors");
  launch.uses_dropout = walker.boolean(value, "uses_dropout");
  return launch;
}

} // namespace

std::string write_header(const KernelImage &image) {
  ordered_json sections = ordered_json::array(), phases = ordered_json::array();
  ordered_json tensors = ordered_json::array(), scalars = ordered_json::array();
  ordered_json workspace = ordered_json::array();
  for (const ImageSection &section : image.sections)
    sections.push_back({{"kind", word(kSectionKinds, section.kind)},
                        {"target", section.target},
                        {"bytes", section.bytes.size()}});
  for (const LaunchPhase &phase : image.launch.phases)
    phases.push_back(write_phase(phase));
  for (const TensorSlot &slot : image.launch.tensors)
    tensors.push_back({word(kRoles, slot.role), slot.index});
  for (int32_t scalar : image.launch.scalars)
    scalars.push_back(scalar);
  for (const WorkspaceTensor &tensor : image.launch.workspace_tensors)
    workspace.push_back({{"sizes", write_extents(tensor.sizes)},
                         {"width", tensor.width},
                         {"when", write_condition(tensor.when)}});
  ordered_json header = {{"kernel", image.kernel},
                         {"key", image.key},
                         {"schedule", image.schedule},
                         {"few_schedule", image.few_schedule},
                         {"graph", image.graph},
                         {"sections", std::move(sections)},
                         {"launch",
                          {{"phases", std::move(phases)},
                           {"tensors", std::move(tensors)},
                           {"scalars", std::move(scalars)},
                           {"workspace_tensors", std::move(workspace)},
                           {"uses_dropout", image.launch.uses_dropout}}}};
  return header.dump(-1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace);
}

Result<ParsedHeader> parse_header(std::string_view text) {
  json header = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    return Error(ErrorCode::kCorruptFile, "kernel image: the header is not a JSON object");
  Walker walker;
  ParsedHeader parsed;
  parsed.image.kernel = walker.string(header, "kernel");
  parsed.image.key = walker.string(header, "key");
  parsed.image.schedule = walker.string(header, "schedule");
  parsed.image.few_schedule = walker.string(header, "few_schedule");
  parsed.image.graph = walker.string(header, "graph");
  for (const json &section : walker.array(header, "sections", 0, kMaxSections)) {
    parsed.image.sections.push_back(
        {walker.one_of<SectionKind>(walker.at(section, "kind"), kSectionKinds, "kind"),
         walker.string(section, "target"),
         {}});
    parsed.section_sizes.push_back(walker.number<uint64_t>(walker.at(section, "bytes"), "bytes"));
  }
  parsed.image.launch = read_launch(walker, walker.at(header, "launch"));
  if (!walker.what.empty())
    return Error(ErrorCode::kCorruptFile, concat("kernel image: the header's \"", walker.what,
                                                 "\" is missing or out of range"));
  return parsed;
}

// Stops at the end of the second string: thousands of headers are listed in a second.
Result<KernelImage::Summary> read_summary(std::string_view text) {
  struct FirstStrings final : nlohmann::json_sax<json> {
    bool null() override { return false; }
    bool boolean(bool) override { return false; }
    bool number_integer(number_integer_t) override { return false; }
    bool number_unsigned(number_unsigned_t) override { return false; }
    bool number_float(number_float_t, const string_t &) override { return false; }
    bool binary(binary_t &) override { return false; }
    bool start_object(std::size_t) override { return true; }
    bool end_object() override { return false; }
    bool start_array(std::size_t) override { return false; }
    bool end_array() override { return false; }
    bool parse_error(std::size_t, const std::string &, const nlohmann::detail::exception &) override {
      return false;
    }
    bool key(string_t &name) override { return name == (found == 0 ? "kernel" : "key"); }
    bool string(string_t &value) override {
      (found == 0 ? summary.kernel : summary.key) = std::move(value);
      return ++found < 2;
    }
    KernelImage::Summary summary;
    int found = 0;
  } reader;
  json::sax_parse(text, &reader, json::input_format_t::json, /*strict=*/false);
  if (reader.found < 2)
    return Error(ErrorCode::kCorruptFile, "kernel image: the header has no kernel and key first");
  return std::move(reader.summary);
}

} // namespace tenon
