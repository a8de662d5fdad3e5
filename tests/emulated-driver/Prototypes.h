// The shape of a function's parameters, as far as a caller's machine code depends on it.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

namespace tenon::emulator {

struct Prototype {
  std::string name;
  std::string parameters; // "p8 i4 i4": pointers, integers, floating-point numbers, structures, and their bytes
};

template <class T> std::string parameter() {
  const char *kind = std::is_pointer_v<T> ? "p" : std::is_floating_point_v<T> ? "f" : std::is_class_v<T> ? "s" : "i";
  return kind + std::to_string(sizeof(T)) + " ";
}
template <class Result, class... Parameters> Prototype prototype(const char *name, Result (*)(Parameters...)) {
  return {name, (parameter<Parameters>() + ... + "")};
}

std::vector<Prototype> prototypes_of_cuda_header(); // nothing where the toolkit is older than the table of entries

} // namespace tenon::emulator
