#include "tenon/Tensor.h"

#include <cmath>
#include <numbers>

// Everything here is built from exactly rounded operations (+ − × ÷ √), without contraction into
// fused multiply-adds: the C library's logarithms and cosines differ in their last bits between
// machines.
namespace tenon {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): one step of the state, and its finaliser.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

// [0, 1), in steps of 2^-53
double fraction(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

// ln x = exponent ln 2 + 2 artanh((m − 1) / (m + 1)), m within [√½, √2): eleven terms reach 2^-55.
double natural_logarithm(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < std::numbers::sqrt2 / 2) {
    mantissa *= 2;
    --exponent;
  }
  double s = (mantissa - 1) / (mantissa + 1), square = s * s, sum = 0;
  for (int k = 21; k >= 1; k -= 2)
    sum = sum * square + 1.0 / k;
  return exponent * std::numbers::ln2 + 2 * s * sum;
}

double uniform(uint64_t key) {
  return fraction(mix(key));
}
double coin(uint64_t key) {
  return static_cast<double>(mix(key) >> 63);
}

// Marsaglia's polar method; a rejected pair is drawn anew from the element's own sequence.
double normal(uint64_t key) {
  for (;;) {
    uint64_t first = mix(key), second = key = mix(first);
    double u = 2 * fraction(first) - 1, v = 2 * fraction(second) - 1, s = u * u + v * v;
    if (s > 0 && s < 1)
      return u * std::sqrt(-2 * natural_logarithm(s) / s);
  }
}

} // namespace

Result<Tensor> Tensor::random(Shape shape, DataType dtype, uint64_t seed,
                              Distribution distribution) {
  if (dtype != DataType::kBool && !is_floating_point(dtype))
    return Error::unsupported_type("dtype", std::string(name(dtype)),
                                   "a floating-point type, or bool");
  TENON_ASSIGN_OR_RETURN(Tensor tensor, empty(std::move(shape), dtype));
  auto draw = dtype == DataType::kBool                ? coin
              : distribution == Distribution::kNormal ? normal
                                                      : uniform;
  auto *element = tensor.data_as<char>();
  uint64_t base = mix(seed);
  for (uint64_t i = 0, count = static_cast<uint64_t>(tensor.element_count()); i < count; ++i) {
    store_from_double(element, dtype, draw(mix(base + i)));
    element += size_in_bytes(dtype);
  }
  return tensor;
}

} // namespace tenon
