// A plugin that cannot be loaded ends the run: what follows would be done without it.
// RUN: not tenon-opt %s --load-pass-plugin=%t.so --cse -o /dev/null 2>&1 | FileCheck %s
// RUN: not tenon-opt %s --load-dialect-plugin=%t.so --cse -o /dev/null 2>&1 | FileCheck %s --check-prefix=DIALECT

// CHECK: error: --load-pass-plugin: {{.*}}.so
// DIALECT: error: --load-dialect-plugin: {{.*}}.so
func.func @nothing() {
  return
}
