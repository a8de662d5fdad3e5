// Products of 64 by 64 by the tensor cores' C++ interface, a warp for each tile of 16 by 16.
#include <cuda_bf16.h>
#include <mma.h>
using namespace nvcuda;

template <class T, class D, int K, class A, class B>
__device__ void multiply(D *c, const A *a, const B *b) {
  int row = threadIdx.x / 32 / 4 * 16, column = threadIdx.x / 32 % 4 * 16;
  wmma::fragment<wmma::accumulator, 16, 16, K, D> sum;
  wmma::fragment<wmma::matrix_a, 16, 16, K, T, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, K, T, wmma::col_major> fb;
  wmma::fill_fragment(sum, D(0.0f));
  for (int k = 0; k < 64; k += K) {
    wmma::load_matrix_sync(fa, a + row * 64 + k, 64);
    wmma::load_matrix_sync(fb, b + column * 64 + k, 64);
    wmma::mma_sync(sum, fa, fb, sum);
  }
  wmma::store_matrix_sync(c + row * 64 + column, sum, 64, wmma::mem_row_major);
}
extern "C" __global__ void half_to_float(float *c, const __half *a, const __half *b) { multiply<__half, float, 16>(c, a, b); }
extern "C" __global__ void half_to_half(__half *c, const __half *a, const __half *b) { multiply<__half, __half, 16>(c, a, b); }
extern "C" __global__ void bfloat(float *c, const __nv_bfloat16 *a, const __nv_bfloat16 *b) { multiply<__nv_bfloat16, float, 16>(c, a, b); }
extern "C" __global__ void tensor_float(float *c, const float *a, const float *b) { multiply<wmma::precision::tf32, float, 8>(c, a, b); }
extern "C" __global__ void bytes(int *c, const signed char *a, const signed char *b) { multiply<signed char, int, 16>(c, a, b); }
