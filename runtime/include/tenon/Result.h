/// A value, or the Error that prevented it. Nothing in Tenon's interface throws.
///
///     Result<Tensor> file = load_tensor("query.npy");
///     if (!file)
///       return file.error();
///     use(*file);
#pragma once

#include "tenon/Error.h"

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <variant>

namespace tenon {

namespace detail {
[[noreturn]] inline void value_of_error(const Error &error) {
  std::fprintf(stderr, "tenon: value() called on an error: %s\n", error.message().c_str());
  std::abort();
}
} // namespace detail

template <class T> class [[nodiscard]] Result {
public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// The value. Calling it on an error is a defect of the program, which ends with the message.
  T &value() & { return check(), std::get<0>(state_); }
  const T &value() const & { return check(), std::get<0>(state_); }
  T &&value() && { return check(), std::get<0>(std::move(state_)); }
  T &operator*() & { return value(); }
  const T &operator*() const & { return value(); }
  T &&operator*() && { return std::move(*this).value(); }
  T *operator->() { return &value(); }
  const T *operator->() const { return &value(); }

  const Error &error() const { return std::get<1>(state_); }

private:
  void check() const {
    if (!ok())
      detail::value_of_error(error());
  }
  std::variant<T, Error> state_;
};

/// Success, or an Error.
template <> class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  static Result success() { return {}; }

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  void value() const {
    if (!ok())
      detail::value_of_error(error());
  }
  const Error &error() const { return std::get<1>(state_); }

private:
  std::variant<std::monostate, Error> state_;
};

using Status = Result<void>;

} // namespace tenon

#define TENON_CONCATENATE_INNER(a, b) a##b
#define TENON_CONCATENATE(a, b) TENON_CONCATENATE_INNER(a, b)

/// Returns the error of `expression` from the enclosing function, where there is one.
#define TENON_TRY(expression)                                                                      \
  do {                                                                                             \
    if (auto tenon_status = (expression); !tenon_status.ok())                                      \
      return tenon_status.error();                                                                 \
  } while (false)

/// TENON_ASSIGN_OR_RETURN(Tensor query, load_tensor(path));
#define TENON_ASSIGN_OR_RETURN(declaration, expression)                                            \
  TENON_ASSIGN_OR_RETURN_(declaration, expression, TENON_CONCATENATE(tenon_result_, __LINE__))
#define TENON_ASSIGN_OR_RETURN_(declaration, expression, result)                                   \
  auto result = (expression);                                                                      \
  if (!result.ok())                                                                                \
    return result.error();                                                                         \
  declaration = std::move(result).value()
