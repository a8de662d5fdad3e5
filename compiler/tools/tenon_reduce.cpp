// tenon-reduce: the smallest IR that a test program still finds interesting.
//
//     tenon-reduce kernel.mlir --test=interesting.sh --reduction-tree="traversal-mode=0 test=interesting.sh"

#include "compiler/driver/Pipeline.h"

#include "mlir/Reducer/Passes.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  tenon::registerDialects(registry);
  tenon::registerPasses();
  mlir::MLIRContext context(registry);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}
