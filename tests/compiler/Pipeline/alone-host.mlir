// REQUIRES: host
// Every pass runs alone, from a file to a file: what one process writes the next one reads.
// RUN: tenon-opt %s --fuse-attention --choose-schedule=target=host:x86-64-v3 -o %t.1
// RUN: tenon-opt %t.1 --tile-attention -o %t.2
// RUN: tenon-opt %t.2 --tenon-lower-tile-to-vector -o %t.3
// RUN: tenon-opt %t.3 --allocate-tile-registers -o %t.4
// RUN: tenon-opt %t.4 --lower-tile-units -o %t.5
// RUN: tenon-opt %t.5 --tenon-expand-math -o %t.6
// RUN: tenon-opt %t.6 --convert-scf-to-cf -o %t.7
// RUN: tenon-opt %t.7 --convert-math-to-llvm -o %t.8
// RUN: tenon-opt %t.8 --convert-vector-to-llvm -o %t.9
// RUN: tenon-opt %t.9 --convert-to-llvm="filter-dialects=cf,arith allow-pattern-rollback=false" -o %t.10
// RUN: tenon-opt %t.10 --reconcile-unrealized-casts | FileCheck %s

// CHECK: llvm.func @flash_forward
// CHECK-NOT: {{= (tile|arith|scf|cf|vector|math)[.]}}
func.func @plain(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                 %value: tensor<*xf32> {attention.width = 16 : i32}) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.matmul %2, %value : tensor<*xf32>
  return %3 : tensor<*xf32>
}
