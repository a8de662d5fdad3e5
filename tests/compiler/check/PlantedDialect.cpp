// A plugin with a dialect of its own: planted.even, whose `value` its verifier wants even.
#include "mlir/IR/Dialect.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/Operation.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"

using namespace mlir;

namespace {

class PlantedDialect : public Dialect {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlantedDialect)
  explicit PlantedDialect(MLIRContext *context)
      : Dialect(getDialectNamespace(), context, TypeID::get<PlantedDialect>()) {
    allowUnknownOperations();
  }
  static StringRef getDialectNamespace() { return "planted"; }

  LogicalResult verifyOperationAttribute(Operation *op, NamedAttribute attribute) override {
    auto value = dyn_cast<IntegerAttr>(attribute.getValue());
    if (!value || value.getInt() % 2 != 0)
      return op->emitOpError("wants an even number, was given ") << attribute.getValue();
    return success();
  }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "PlantedDialect", "1",
          [](DialectRegistry *registry) { registry->insert<PlantedDialect>(); }};
}
