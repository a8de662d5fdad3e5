/// A callable borrowed for the length of a call: two pointers, no allocation.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace tenon {

template <typename Signature> class FunctionRef;

/// Refers to a callable that must outlive every call through the reference.
template <typename Result, typename... Parameters> class FunctionRef<Result(Parameters...)> {
public:
  template <typename Callable>
  requires(!std::is_same_v<std::remove_cvref_t<Callable>, FunctionRef> &&
           std::is_invocable_r_v<Result, Callable &, Parameters...>)
      FunctionRef(
          Callable &&callable) // NOLINT(google-explicit-constructor): made at the call's place
      : object_(const_cast<void *>(static_cast<const void *>(std::addressof(callable)))),
        call_([](void *object, Parameters... parameters) -> Result {
          return (*static_cast<std::remove_reference_t<Callable> *>(object))(
              std::forward<Parameters>(parameters)...);
        }) {}

  Result operator()(Parameters... parameters) const {
    return call_(object_, std::forward<Parameters>(parameters)...);
  }

private:
  void *object_;
  Result (*call_)(void *, Parameters...);
};

} // namespace tenon
