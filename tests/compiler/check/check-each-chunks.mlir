// Of 2,500 keys, of which there are two chunks, the kernel runs twice; its answer is that of the graph.
// RUN: tenon-opt %s --check-each --choose-schedule=target=host:x86-64-v4 --tile-attention -o /dev/null
func.func @plain(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                 %value: tensor<*xf32> {attention.width = 16 : i32}) -> tensor<*xf32>
    attributes {attention.exact = array<i32: 1, 2, 2, 70, 2500>} {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %distance = arith.subi %i, %j : i32
    %offset = arith.constant -2430 : i32
    %visible = arith.cmpi sge, %distance, %offset : i32
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}
