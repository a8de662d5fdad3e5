// Every pass runs alone, from a file to a file: what one process writes the next one reads.
// RUN: tenon-opt %s --simplify-attention -o %t.0
// RUN: tenon-opt %t.0 --fuse-attention -o %t.1
// RUN: tenon-opt %t.1 --analyze-mask -o %t.2
// RUN: tenon-opt %t.2 --choose-schedule=target=sm_80 -o %t.3
// RUN: tenon-opt %t.3 --tile-attention -o %t.4
// RUN: tenon-opt %t.4 --tenon-scale-after-maximum -o %t.5
// RUN: tenon-opt %t.5 --tenon-stage-shared-memory -o %t.6
// RUN: tenon-opt %t.6 --tenon-assign-layouts -o %t.7
// RUN: tenon-opt %t.7 --tenon-lower-tile-to-nvvm -o %t.8
// RUN: tenon-opt %t.8 --convert-scf-to-cf -o %t.9
// RUN: tenon-opt %t.9 --convert-to-llvm="filter-dialects=cf,arith allow-pattern-rollback=false" -o %t.10
// RUN: tenon-opt %t.10 --reconcile-unrealized-casts | FileCheck %s

// CHECK: llvm.func @flash_forward
// CHECK-NOT: {{= (tile|arith|scf|cf)[.]}}
func.func @plain(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                 %value: tensor<*xf32> {attention.width = 16 : i32}) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.matmul %2, %value : tensor<*xf32>
  return %3 : tensor<*xf32>
}
