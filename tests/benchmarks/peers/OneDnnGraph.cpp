// oneDNN's graph API as a peer: attention as one graph, which the library takes as one partition. The protocol: peers.py.
#include <oneapi/dnnl/dnnl_graph.hpp>

#include <chrono>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace dnnl::graph;
using Type = logical_tensor::data_type;

constexpr double kLeastMilliseconds = 20; // of one answer

/// The number or word of a flat JSON object.
std::string field(const std::string &object, const std::string &name) {
  size_t at = object.find("\"" + name + "\"");
  at = object.find_first_not_of(": \"", at + name.size() + 2);
  return object.substr(at, object.find_first_of(",}\"", at) - at);
}

uint16_t bfloat16(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}

/// One shape: its graph compiled, its tensors filled.
class Attention {
public:
  explicit Attention(const std::string &shape) {
    const auto size = [&](const char *name) -> int64_t { return std::stoll(field(shape, name)); };
    if (size("heads") != size("kv_heads"))
      throw std::runtime_error("grouped heads are not asked of it");
    const std::string dtype = field(shape, "dtype");
    if (dtype != "f32" && dtype != "bf16")
      throw std::runtime_error(dtype + " is not asked of it");
    type_ = dtype == "f32" ? Type::f32 : Type::bf16;
    build(size("batch"), size("heads"), size("queries"), size("keys"), size("head_dim"),
          field(shape, "causal") == "true");
  }

  void run() {
    compiled_.execute(stream_, inputs_, outputs_);
    stream_.wait();
  }

private:
  logical_tensor tensor_of(const logical_tensor::dims &sizes) {
    return {next_++, type_, sizes, logical_tensor::layout_type::strided};
  }
  /// scores between the operations are kept in float32
  logical_tensor score_of(const logical_tensor::dims &sizes) {
    return {next_++, Type::f32, sizes, logical_tensor::layout_type::strided};
  }
  op add(op::kind kind, const char *name, std::vector<logical_tensor> inputs, const logical_tensor &output) {
    op made(next_++, kind, name);
    made.add_inputs(inputs);
    made.add_outputs({output});
    return made;
  }

  void build(int64_t batch, int64_t heads, int64_t queries, int64_t keys, int64_t width, bool causal) {
    const logical_tensor::dims rows{batch, heads, queries, width}, columns{batch, heads, keys, width},
        scores{batch, heads, queries, keys};
    const logical_tensor query = tensor_of(rows), key = tensor_of(columns), value = tensor_of(columns),
                         output = tensor_of(rows), scale = tensor_of({1}), mask = tensor_of({1, 1, queries, keys}),
                         product = score_of(scores), scaled = score_of(scores), masked = score_of(scores),
                         probabilities = tensor_of(scores);
    graph all(dnnl::engine::kind::cpu);
    op first = add(op::kind::MatMul, "scores", {query, key}, product);
    first.set_attr<bool>(op::attr::transpose_b, true);
    all.add_op(first);
    all.add_op(add(op::kind::Multiply, "scale", {product, scale}, scaled));
    if (causal)
      all.add_op(add(op::kind::Add, "mask", {scaled, mask}, masked));
    op softmax = add(op::kind::SoftMax, "softmax", {causal ? masked : scaled}, probabilities);
    softmax.set_attr<int64_t>(op::attr::axis, -1);
    all.add_op(softmax);
    all.add_op(add(op::kind::MatMul, "output", {probabilities, value}, output));
    all.finalize();

    const std::vector<partition> parts = all.get_partitions();
    if (parts.size() != 1 || !parts[0].is_supported())
      throw std::runtime_error("does not fuse into one partition");
    std::vector<logical_tensor> wanted{query, key, scale, value};
    if (causal)
      wanted.insert(wanted.end() - 1, mask);
    compiled_ = parts[0].compile(wanted, {output}, engine_);
    for (const logical_tensor &each : wanted)
      inputs_.push_back(filled(each, each.get_id() == scale.get_id(), each.get_id() == mask.get_id(), width, keys));
    outputs_ = {tensor(output, engine_)};
  }

  tensor filled(const logical_tensor &like, bool is_scale, bool is_mask, int64_t width, int64_t keys) {
    const tensor made(like, engine_);
    const size_t count = like.get_mem_size() / (type_ == Type::f32 ? 4 : 2);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < count; ++i) {
      float number = normal(bits_);
      if (is_scale)
        number = 1 / std::sqrt(static_cast<float>(width));
      if (is_mask) {
        const auto query = static_cast<int64_t>(i) / keys, key = static_cast<int64_t>(i) % keys;
        number = key <= query ? 0 : -std::numeric_limits<float>::infinity();
      }
      if (type_ == Type::f32)
        static_cast<float *>(made.get_data_handle())[i] = number;
      else
        static_cast<uint16_t *>(made.get_data_handle())[i] = bfloat16(number);
    }
    return made;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::mt19937 bits_{1};
  size_t next_ = 0;
  Type type_ = Type::f32;
  compiled_partition compiled_;
  std::vector<tensor> inputs_, outputs_;
};

double milliseconds(Attention &attention) {
  const auto begin = std::chrono::steady_clock::now();
  const auto taken = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  };
  int calls = 0;
  do {
    attention.run();
    ++calls;
  } while (taken() < kLeastMilliseconds);
  return taken() / calls;
}

} // namespace

int main() {
  std::map<std::string, std::unique_ptr<Attention>> made;
  for (std::string shape; std::getline(std::cin, shape);) {
    try {
      std::unique_ptr<Attention> &attention = made[shape];
      if (!attention) {
        attention = std::make_unique<Attention>(shape);
        attention->run();
      }
      std::cout << "{\"milliseconds\": " << milliseconds(*attention) << "}" << std::endl;
    } catch (const std::exception &error) {
      std::cout << "{\"skipped\": \"" << error.what() << "\"}" << std::endl;
    }
  }
}
