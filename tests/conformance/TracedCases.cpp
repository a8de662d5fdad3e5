#include "Cases.h"

namespace tenon::conformance {

// Scores that no library foresaw: whatever an expression can say.
void add_traced(std::vector<Case> &list) {
  auto add = [&](std::string name, std::function<Result<Function>(CompileOptions)> traced,
                 Inputs inputs = Inputs::kNormal) {
    for (DataType dtype : kTypes) {
      Case c = sized(name, dtype, 2, 4, 2, 70, 133, 64, 64);
      c.traced = traced;
      c.inputs = inputs;
      c.logsumexp = false;
      list.push_back(c);
    }
  };
  // A slope for each head in a packed tile, and a window that depends on it.
  auto add_decoding = [&](std::string name, std::function<Result<Function>(CompileOptions)> traced) {
    add("decode_" + name, std::move(traced));
    for (auto c = list.end() - std::size(kTypes); c != list.end(); ++c)
      c->queries = 3, c->keys = 700;
  };
  add_decoding("alibi", [](CompileOptions o) {
    Tensor slopes = Tensor::from_values<float>({4}, {0.5f, 0.25f, 0.125f, 0.0625f}).value();
    return compile([&](Value q, Value k, Value v) {
      Value distance = key_index() - (query_index() + key_length() - query_length());
      Value scores = matmul(q, transpose(k)) * 0.125f + load(slopes, head_index()) * distance;
      return matmul(softmax(where(distance <= 0, scores, -inf)), v);
    }, o);
  });
  add_decoding("window_of_head", [](CompileOptions o) {
    Tensor windows = Tensor::from_values<int32_t>({4}, {17, 300, 301, 600}).value();
    return compile([&](Value q, Value k, Value v) {
      Value distance = query_index() + key_length() - query_length() - key_index();
      Value visible = distance >= 0 && distance < load(windows, head_index());
      return matmul(softmax(where(visible, matmul(q, transpose(k)) * 0.125f, -inf)), v);
    }, o);
  });
  add("soft_cap", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      return matmul(softmax(20.0f * tanh(matmul(q, transpose(k)) * (0.125f / 20.0f))), v);
    }, o);
  });
  add("alibi", [](CompileOptions o) {
    Tensor slopes = Tensor::from_values<float>({4}, {0.5f, 0.25f, 0.125f, 0.0625f}).value();
    return compile([&](Value q, Value k, Value v) {
      Value scores = where(query_index() >= key_index(), matmul(q, transpose(k)) * 0.125f, -inf);
      scores = scores + load(slopes, head_index()) * (key_index() - query_index());
      return matmul(softmax(scores), v);
    }, o);
  });
  // What is masked stays so, whatever is added: NaN and infinity one and two keys behind the query.
  add("masked_then_table", [](CompileOptions o) {
    Tensor table = Tensor::from_values<float>({3}, {0.5f, NAN, INFINITY}).value();
    return compile([&](Value q, Value k, Value v) {
      Value scores = where(query_index() >= key_index(), matmul(q, transpose(k)) * 0.125f, -inf);
      return matmul(softmax(0.5f * (scores + load(table, key_index() - query_index()))), v);
    }, o);
  });
  add("masked_then_infinite", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      Value visible = query_index() >= key_index();
      Value scores = where(visible, matmul(q, transpose(k)) * 0.125f, -inf) + where(visible, 0.0f, inf);
      return matmul(softmax(scores), v);
    }, o);
  });
  add("sliding_window", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      Value distance = query_index() - key_index();
      return matmul(softmax(where(distance >= 0 && distance < 20, matmul(q, transpose(k)) * 0.125f, -inf)), v);
    }, o);
  });
  add("chunked_sliding_window", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      Value distance = query_index() + key_length() - query_length() - key_index();
      return matmul(softmax(where(distance >= 0 && distance < 700, matmul(q, transpose(k)) * 0.125f, -inf)), v);
    }, o);
  });
  for (auto c = list.end() - std::size(kTypes); c != list.end(); ++c)
    c->queries = 50, c->keys = 4500;
  add("window_from_below", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      return matmul(softmax(where(key_index() > query_index() + 3, matmul(q, transpose(k)) * 0.125f, -inf)), v);
    }, o);
  });
  add("document_mask", [](CompileOptions o) {
    std::vector<int32_t> documents(200);
    for (size_t i = 0; i < documents.size(); ++i)
      documents[i] = static_cast<int32_t>(i / 37);
    Tensor table = Tensor::from_values<int32_t>({200}, std::span<const int32_t>(documents)).value();
    return compile([&](Value q, Value k, Value v) {
      Value same = load(table, query_index()) == load(table, key_index());
      return matmul(softmax(where(same, matmul(q, transpose(k)) * 0.125f, -inf)), v);
    }, o);
  });
  add("scaled_output", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      return 0.75f * matmul(dropout(softmax(matmul(q, transpose(k)) * 0.125f), 0.1f) * 2.0f, v * 1.25f);
    }, o);
  });
  add("dropped_when_scaled", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      return matmul(dropout(softmax(matmul(q, transpose(k)) * 0.125f) * 2.0f, 0.1f), v);
    }, o);
  });
  add("given_by_columns", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      return matmul(softmax(matmul(transpose(q), k) * 0.125f), v);
    }, o);
  }, Inputs::kByColumns);
  add("transcendental", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      Value s = matmul(q, transpose(k)) * 0.125f;
      Value x = sin(s) + cos(s) + exp(-abs(s)) + log(abs(s) + 1.0f) + sqrt(abs(s)) + sigmoid(s) + erf(s);
      return matmul(softmax(x + rsqrt(abs(s) + 0.5f) + pow(abs(s) + 0.5f, 1.5f) + exp2(-s * s) + floor(s)), v);
    }, o);
  });
  add("index_arithmetic", [](CompileOptions o) {
    return compile([](Value q, Value k, Value v) {
      Value bucket = (query_index() * 3 - key_index() * 2) % 7 + batch_index() - key_index() / 5;
      Value visible = !(bucket == 2) || min(query_index(), key_index()) < key_length() / 2;
      return matmul(softmax(where(visible, matmul(q, transpose(k)) * 0.125f + max(bucket, -3) * 0.1f, -inf)), v);
    }, o);
  });
}

} // namespace tenon::conformance
