// Two LLVMs in one process: this program's own, and the one inside Tenon's compiler.
#include "tenon/Tenon.h"

#include <llvm-c/Core.h>

#include <cmath>
#include <cstdio>
#include <cstring>

static bool own_llvm_works() {
  LLVMContextRef context = LLVMContextCreate();
  LLVMModuleRef module = LLVMModuleCreateWithNameInContext("own", context);
  char *text = LLVMPrintModuleToString(module);
  bool right = std::strstr(text, "own") != nullptr;
  LLVMDisposeMessage(text);
  LLVMDisposeModule(module);
  LLVMContextDispose(context);
  return right;
}

int main() {
  if (!own_llvm_works())
    return 1;
  auto query = tenon::Tensor::random({1, 2, 40, 32}, tenon::DataType::kFloat32, 1).value();
  auto compiled = tenon::scaled_dot_product_attention(query, query, query, {.device = tenon::Way::kHost});
  auto eager = tenon::scaled_dot_product_attention(query, query, query, {.device = tenon::Way::kEager});
  if (!compiled || !eager) {
    std::fprintf(stderr, "%s\n", (compiled ? eager : compiled).error().message().c_str());
    return 1;
  }
  for (int64_t i = 0; i < eager->element_count(); ++i)
    if (std::fabs(compiled->data_as<float>()[i] - eager->data_as<float>()[i]) > 1e-5f)
      return 1;
  std::printf("compiled beside another LLVM\n");
  return own_llvm_works() ? 0 : 1;
}
