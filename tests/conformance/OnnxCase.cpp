#include "OnnxCase.h"

#include <bit>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

namespace tenon::conformance {
namespace {

Error malformed(const char *what) {
  return Error(ErrorCode::kCorruptFile, std::string("no ") + what + " as ONNX's node tests have it");
}

// A field of a message: a number, or bytes. https://protobuf.dev/programming-guides/encoding
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
};

class Message {
public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  // Nothing at the end, and where the bytes make no sense: then `broken`.
  std::optional<Field> next() {
    if (rest_.empty())
      return std::nullopt;
    Field field;
    uint64_t tag = varint();
    field.number = tag >> 3;
    switch (tag & 7) {
    case 0:
      field.value = varint();
      break;
    case 1:
      field.bytes = take(8);
      break;
    case 2:
      field.bytes = take(varint());
      break;
    case 5:
      field.bytes = take(4);
      break;
    default:
      broken = true;
    }
    return broken ? std::nullopt : std::optional(field);
  }
  bool broken = false;

private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80)
        return value;
    }
    broken = true;
    return 0;
  }
  std::string_view take(uint64_t count) {
    broken |= count > rest_.size();
    std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

  std::string_view rest_;
};

std::string read(const std::filesystem::path &path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// TensorProto.DataType
std::optional<DataType> type_of(uint64_t number) {
  constexpr std::pair<uint64_t, DataType> kTypes[] = {
      {1, DataType::kFloat32}, {6, DataType::kInt32},   {7, DataType::kInt64},    {9, DataType::kBool},
      {10, DataType::kFloat16}, {11, DataType::kFloat64}, {16, DataType::kBFloat16}};
  for (auto [type, mine] : kTypes)
    if (type == number)
      return mine;
  return std::nullopt;
}

Result<Tensor> tensor_of(std::string_view bytes) {
  Shape shape;
  std::optional<DataType> type;
  std::string_view raw;
  Message message(bytes);
  while (auto field = message.next())
    if (field->number == 1) // dims
      shape.push_back(static_cast<int64_t>(field->value));
    else if (field->number == 2) // data_type
      type = type_of(field->value);
    else if (field->number == 9) // raw_data
      raw = field->bytes;
  if (message.broken || !type)
    return malformed("tensor");
  TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(shape, *type));
  if (raw.size() != static_cast<size_t>(tensor.element_count()) * size_in_bytes(*type))
    return malformed("tensor with raw data");
  std::memcpy(tensor.data(), raw.data(), raw.size());
  return tensor;
}

void add_attribute(OnnxCase &made, std::string_view bytes) {
  std::string name;
  std::optional<double> number;
  Message message(bytes);
  while (auto field = message.next())
    if (field->number == 1)
      name = field->bytes;
    else if (field->number == 2 && field->bytes.size() == 4) { // f
      float value = 0;
      std::memcpy(&value, field->bytes.data(), 4);
      number = value;
    } else if (field->number == 3) // i
      number = static_cast<double>(static_cast<int64_t>(field->value));
  if (number)
    made.numbers[name] = *number;
  else
    made.others.push_back(name);
}

// The bytes of the first field of this number.
std::string_view find(std::string_view bytes, uint64_t number) {
  Message message(bytes);
  while (auto field = message.next())
    if (field->number == number)
      return field->bytes;
  return {};
}

// The files are numbered over the names that are not empty.
Status read_tensors(const std::filesystem::path &folder, const char *prefix, const std::vector<std::string> &names,
                    std::map<std::string, Tensor> &tensors) {
  int file = 0;
  for (const std::string &name : names) {
    if (name.empty())
      continue;
    TENON_ASSIGN_OR_RETURN(tensors[name], tensor_of(read(folder / (prefix + std::to_string(file++) + ".pb"))));
  }
  return {};
}

} // namespace

Result<OnnxCase> read_onnx_case(const std::filesystem::path &folder) {
  const std::string model = read(folder / "model.onnx");
  const std::string_view node = find(find(model, 7), 1); // graph, its first node
  OnnxCase made;
  std::vector<std::string> inputs, outputs;
  Message message(node);
  while (auto field = message.next())
    if (field->number == 1)
      inputs.emplace_back(field->bytes);
    else if (field->number == 2)
      outputs.emplace_back(field->bytes);
    else if (field->number == 4)
      made.op = field->bytes;
    else if (field->number == 5)
      add_attribute(made, field->bytes);
  if (message.broken || made.op.empty())
    return malformed("model");
  TENON_TRY(read_tensors(folder / "test_data_set_0", "input_", inputs, made.inputs));
  TENON_TRY(read_tensors(folder / "test_data_set_0", "output_", outputs, made.outputs));
  return made;
}

} // namespace tenon::conformance
