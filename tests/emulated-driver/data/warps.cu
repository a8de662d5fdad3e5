// Reduction, scan, histogram: what threads of a block and lanes of a warp do together.
extern "C" __global__ void reduce(unsigned long long *out, const unsigned *in, int n) {
  __shared__ unsigned long long partial[32];
  unsigned long long sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    sum += in[i];
  for (int step = 16; step; step /= 2)
    sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0)
    partial[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
    for (int step = 16; step; step /= 2)
      sum += __shfl_xor_sync(~0u, sum, step);
    if (threadIdx.x == 0)
      atomicAdd(out, sum);
  }
}

// Inclusive sums of one block of 256.
extern "C" __global__ void scan(int *out, const int *in) {
  __shared__ int totals[8];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, x = in[threadIdx.x];
  for (int step = 1; step < 32; step *= 2) {
    int below = __shfl_up_sync(~0u, x, step);
    if (lane >= step)
      x += below;
  }
  if (lane == 31)
    totals[warp] = x;
  __syncthreads();
  for (int w = 0; w < warp; w++)
    x += totals[w];
  out[threadIdx.x] = x;
}

// Lanes with the same key add once for all of them.
extern "C" __global__ void histogram(unsigned *bins, const unsigned char *in, int n) {
  __shared__ unsigned own[256];
  own[threadIdx.x] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += 256) {
    unsigned same = __match_any_sync(__activemask(), in[i]);
    if (threadIdx.x % 32 == __ffs(same) - 1)
      atomicAdd(&own[in[i]], __popc(same));
  }
  __syncthreads();
  if (own[threadIdx.x])
    atomicAdd(&bins[threadIdx.x], own[threadIdx.x]);
}

// What a barrier counts, and what a warp adds by itself.
extern "C" __global__ void votes(int *out, const int *in) {
  int x = in[threadIdx.x];
  int count = __syncthreads_count(x > 0), all = __syncthreads_and(x > -100), any = __syncthreads_or(x == 7);
  int most = __reduce_max_sync(~0u, x), bits = __popc(__ballot_sync(~0u, x & 1));
  out[threadIdx.x] = count + 1000 * (all != 0) + 2000 * (any != 0) + 10000 * most + 1000000 * bits;
}
