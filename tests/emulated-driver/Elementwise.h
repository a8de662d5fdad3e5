// One instruction over 32 lanes, against a function of C++.
#pragma once
#include "Emulator.h"
#include <algorithm>
#include <tuple>

namespace tenon::emulator {

/// Runs `body` (see elementwise) over the inputs and returns the 32 results.
template <class Out, class... In>
std::vector<Out> run_lanes(const std::vector<std::string> &types, const std::string &output, const std::string &body,
                           const std::vector<In> &...inputs) {
  Card card;
  auto *kernel = card.load(elementwise(types, output, body));
  if (!kernel)
    return std::vector<Out>(32);
  DevicePointer out = card.allocate(32 * sizeof(Out));
  EXPECT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(inputs)...), kSuccess) << body;
  EXPECT_EQ(Card::report(), "nothing found\n") << body;
  return card.download<Out>(out, 32);
}

/// The same over many values, 32 at a time.
template <class Out, class... In>
std::vector<Out> run_many(const std::vector<std::string> &types, const std::string &output, const std::string &body,
                          const std::vector<In> &...inputs) {
  Card card;
  auto *kernel = card.load(elementwise(types, output, body));
  size_t count = std::min({inputs.size()...}) / 32 * 32;
  std::vector<Out> results(count);
  if (!kernel)
    return results;
  DevicePointer out = card.allocate(32 * sizeof(Out));
  auto uploaded = std::make_tuple(std::make_pair(card.upload(inputs), sizeof(In))...);
  for (size_t first = 0; first < count; first += 32) {
    Status status = std::apply([&](auto... input) { return card.launch(kernel, 1, 32, 0, out, (input.first + first * input.second)...); }, uploaded);
    EXPECT_EQ(status, kSuccess) << body;
    auto chunk = card.download<Out>(out, 32);
    std::copy(chunk.begin(), chunk.end(), results.begin() + static_cast<long>(first));
  }
  EXPECT_EQ(Card::report(), "nothing found\n") << body;
  return results;
}

/// 32 values made of the given ones, in an order that pairs each with many.
template <class T> std::vector<T> spread(std::vector<T> values, size_t stride) {
  std::vector<T> lanes;
  for (size_t i = 0; i < 32; i++)
    lanes.push_back(values[(i / stride + (stride > 1 ? i : 0)) % values.size()]);
  return lanes;
}

} // namespace tenon::emulator
