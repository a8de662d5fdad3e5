#include "bench/Shapes.h"

#include <algorithm>

namespace tenon::command {

ShapeOptions square_shape(int64_t batch, int64_t heads, int64_t length, int64_t width,
                          const char *dtype, bool causal) {
  ShapeOptions shape;
  shape.batch = batch, shape.heads = shape.key_heads = heads;
  shape.queries = shape.keys = length;
  shape.head_dim = shape.value_dim = width;
  shape.dtype = dtype;
  shape.causal = causal ? "top-left" : "";
  return shape;
}

std::vector<ShapeOptions> default_shapes() {
  std::vector<ShapeOptions> shapes;
  for (const char *dtype : {"f32", "bf16"})
    for (int64_t width : {64, 128})
      for (bool causal : {false, true})
        shapes.push_back(square_shape(1, 8, 1024, width, dtype, causal));
  shapes.push_back(square_shape(1, 12, 256, 32, "f32", false));
  shapes.push_back(square_shape(1, 8, 4096, 128, "f32", false));
  shapes.back().queries = 1;
  return shapes;
}

std::vector<ShapeOptions> length_shapes(int64_t shorter) {
  constexpr int64_t kRows = 4096, kHeads = 8; // queries of all sequences: the same at every length
  std::vector<ShapeOptions> shapes;
  for (const char *dtype : {"f32", "bf16"})
    for (bool causal : {false, true})
      for (int64_t length = 128; length <= kRows; length *= 2)
        shapes.push_back(square_shape(kRows / length, kHeads,
                                      std::max<int64_t>(length / shorter, 1), 64, dtype, causal));
  return shapes;
}

std::vector<ShapeOptions> gpu_shapes(int64_t shorter) {
  constexpr int64_t kRows = 16384, kColumns = 2048;
  std::vector<ShapeOptions> shapes;
  for (int64_t width : {64, 128})
    for (const char *dtype : {"f16", "bf16"})
      for (bool causal : {false, true})
        for (int64_t length = 512; length <= kRows; length *= 2)
          shapes.push_back(square_shape(kRows / length, kColumns / width,
                                        std::max<int64_t>(length / shorter, 1), width, dtype,
                                        causal));
  return shapes;
}

} // namespace tenon::command
