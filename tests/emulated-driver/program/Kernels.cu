// Kernels of a program that knows nothing of Tenon or its emulator.
constexpr int kTile = 16;

__constant__ float offset[4];

extern "C" __global__ void add_vectors(const float *a, const float *b, float *sum, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count)
    sum[i] = a[i] + b[i] + offset[i % 4];
}

extern "C" __global__ void multiply_matrices(const float *a, const float *b, float *product, int width, int inner) {
  __shared__ float tile_a[kTile][kTile + 1], tile_b[kTile][kTile + 1];
  int row = blockIdx.y * kTile + threadIdx.y, column = blockIdx.x * kTile + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < inner; k += kTile) {
    tile_a[threadIdx.y][threadIdx.x] = a[row * inner + k + threadIdx.x];
    tile_b[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * width + column];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kTile; i++)
      sum += tile_a[threadIdx.y][i] * tile_b[i][threadIdx.x];
    __syncthreads();
  }
  product[row * width + column] = sum;
}

extern "C" __global__ void sum_vector(const float *in, float *out, int count) {
  extern __shared__ float partial[];
  float sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
    sum += in[i];
  partial[threadIdx.x] = sum;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  if (threadIdx.x == 0)
    atomicAdd(out, partial[0]);
}
