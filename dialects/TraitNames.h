/// Names of traits that do not depend on the compiler.
///
/// MLIR identifies a trait by the name of Trait<Empty>, Empty being local to a function, where it has no
/// identifier of its own (mlir/Support/TypeID.h, FallbackTypeIDResolver). GCC writes
/// "mlir::OpTrait::ConstantLike<mlir::TypeID::get<mlir::OpTrait::ConstantLike>()::Empty>", Clang
/// "mlir::OpTrait::ConstantLike<Empty>". The distributions' libMLIR comes from Clang: without this header, what
/// GCC compiles sees no constant and no terminator in it, nor it in ours. The dialects' headers include
/// it before all else; a file that includes MLIR without them includes it itself, first.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)

#include "mlir/Support/TypeID.h"

#include <string>
#include <string_view>

namespace mlir::detail {

template <typename T> constexpr bool standsForTraits() {
  std::string_view name = llvm::getTypeName<T>();
  return name.starts_with("mlir::TypeID::get<") && name.ends_with("::Empty");
}

template <template <typename> class Trait, typename Placeholder>
class TypeIDResolver<Trait<Placeholder>, std::enable_if_t<standsForTraits<Placeholder>()>>
    : public FallbackTypeIDResolver {
public:
  static TypeID resolveTypeID() {
    // The registry keeps a reference to the name.
    static const std::string name = [] {
      std::string full = llvm::getTypeName<Trait<Placeholder>>().str();
      std::string_view placeholder = llvm::getTypeName<Placeholder>();
      if (size_t start = full.find(placeholder); start != std::string::npos)
        full.replace(start, placeholder.size(), "Empty");
      return full;
    }();
    static const TypeID id = registerImplicitTypeID(name);
    return id;
  }
};

} // namespace mlir::detail

#endif
