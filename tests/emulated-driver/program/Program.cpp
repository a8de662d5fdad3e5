// A driver-API program as anybody might write it: compiled against the toolkit's cuda.h, linked with -lcuda, its
// kernels by nvcc. It runs on a card, or on the emulated driver where LD_LIBRARY_PATH leads there.
//
//     driver_program kernels.fatbin
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cuda.h>
#include <vector>

#define CHECK(call)                                                                                                    \
  do {                                                                                                                 \
    CUresult result = (call);                                                                                          \
    if (result != CUDA_SUCCESS) {                                                                                      \
      const char *name = nullptr;                                                                                      \
      cuGetErrorName(result, &name);                                                                                   \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, name ? name : "?");                           \
      std::exit(1);                                                                                                    \
    }                                                                                                                  \
  } while (false)

namespace {

void expect(bool right, const char *what) {
  std::printf("%-28s %s\n", what, right ? "right" : "WRONG");
  if (!right)
    std::exit(1);
}

std::vector<float> numbers(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++)
    values[i] = static_cast<float>(i * 37 % 101) / 64 - 0.5f;
  return values;
}

CUdeviceptr upload(const std::vector<float> &values) {
  CUdeviceptr at;
  CHECK(cuMemAlloc(&at, values.size() * sizeof(float)));
  CHECK(cuMemcpyHtoD(at, values.data(), values.size() * sizeof(float)));
  return at;
}

void add_vectors(CUmodule module) {
  constexpr int kCount = 50001;
  CUfunction function;
  CHECK(cuModuleGetFunction(&function, module, "add_vectors"));
  CUdeviceptr offset;
  size_t bytes;
  CHECK(cuModuleGetGlobal(&offset, &bytes, module, "offset"));
  const float offsets[4] = {0, 1, 2, 3};
  CHECK(cuMemcpyHtoD(offset, offsets, bytes));
  std::vector<float> a = numbers(kCount), b = numbers(kCount), sum(kCount);
  CUdeviceptr in_a = upload(a), in_b = upload(b), out = upload(sum);
  int count = kCount, grid, block;
  CHECK(cuOccupancyMaxPotentialBlockSize(&grid, &block, function, nullptr, 0, 256));
  void *arguments[] = {&in_a, &in_b, &out, &count};
  CHECK(cuLaunchKernel(function, (kCount + block - 1) / block, 1, 1, block, 1, 1, 0, nullptr, arguments, nullptr));
  CHECK(cuMemcpyDtoH(sum.data(), out, kCount * sizeof(float)));
  bool right = true;
  for (int i = 0; i < kCount; i++)
    right &= sum[i] == a[i] + b[i] + offsets[i % 4];
  expect(right, "vectors added");
  for (CUdeviceptr at : {in_a, in_b, out})
    CHECK(cuMemFree(at));
}

void multiply_matrices(CUmodule module) {
  constexpr int kRows = 48, kInner = 64, kColumns = 80, kTile = 16;
  CUfunction function;
  CHECK(cuModuleGetFunction(&function, module, "multiply_matrices"));
  std::vector<float> a = numbers(kRows * kInner), b = numbers(kInner * kColumns), c(kRows * kColumns);
  CUdeviceptr in_a = upload(a), in_b = upload(b), out = upload(c);
  struct { // packed as the kernel takes them
    CUdeviceptr a, b, product;
    int width, inner;
  } packed = {in_a, in_b, out, kColumns, kInner};
  size_t bytes = sizeof(packed);
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  CUstream stream;
  CUevent begin, end;
  CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CHECK(cuEventCreate(&begin, CU_EVENT_DEFAULT));
  CHECK(cuEventCreate(&end, CU_EVENT_DEFAULT));
  CHECK(cuEventRecord(begin, stream));
  CHECK(cuLaunchKernel(function, kColumns / kTile, kRows / kTile, 1, kTile, kTile, 1, 0, stream, nullptr, extra));
  CHECK(cuEventRecord(end, stream));
  CHECK(cuMemcpyDtoHAsync(c.data(), out, c.size() * sizeof(float), stream));
  CHECK(cuStreamSynchronize(stream));
  float milliseconds = -1;
  CHECK(cuEventElapsedTime(&milliseconds, begin, end));
  double worst = 0;
  for (int row = 0; row < kRows; row++)
    for (int column = 0; column < kColumns; column++) {
      double sum = 0;
      for (int k = 0; k < kInner; k++)
        sum += double{a[row * kInner + k]} * b[k * kColumns + column];
      worst = std::max(worst, std::abs(sum - c[row * kColumns + column]));
    }
  expect(worst < 1e-4 && milliseconds >= 0, "matrices multiplied");
  CHECK(cuStreamDestroy(stream));
}

/// A graph captured once and launched three times over memory that host and device share.
void sum_in_a_graph(CUmodule module) {
  constexpr int kCount = 10000;
  CUfunction function;
  CHECK(cuModuleGetFunction(&function, module, "sum_vector"));
  float *in, *out;
  CHECK(cuMemHostAlloc(reinterpret_cast<void **>(&in), kCount * sizeof(float), CU_MEMHOSTALLOC_DEVICEMAP));
  CHECK(cuMemAllocManaged(reinterpret_cast<CUdeviceptr *>(&out), sizeof(float), CU_MEM_ATTACH_GLOBAL));
  CUdeviceptr from, to = reinterpret_cast<CUdeviceptr>(out);
  CHECK(cuMemHostGetDevicePointer(&from, in, 0));
  int count = kCount;
  void *arguments[] = {&from, &to, &count};
  CUstream stream;
  CHECK(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
  CHECK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK(cuMemsetD32Async(to, 0, 1, stream));
  CHECK(cuLaunchKernel(function, 4, 1, 1, 128, 1, 1, 128 * sizeof(float), stream, arguments, nullptr));
  CUgraph graph;
  CUgraphExec executable;
  CHECK(cuStreamEndCapture(stream, &graph));
  CHECK(cuGraphInstantiate(&executable, graph, 0));
  bool right = true;
  for (float value : {1.0f, 0.5f, -2.0f}) {
    for (int i = 0; i < kCount; i++)
      in[i] = value;
    CHECK(cuGraphLaunch(executable, stream));
    CHECK(cuStreamSynchronize(stream));
    right &= *out == value * kCount;
  }
  expect(right, "graph launched three times");
  CHECK(cuGraphExecDestroy(executable));
  CHECK(cuGraphDestroy(graph));
}

} // namespace

int main(int count, char **arguments) {
  if (count != 2)
    return 2;
  CHECK(cuInit(0));
  CUdevice device;
  char name[128];
  CHECK(cuDeviceGet(&device, 0));
  CHECK(cuDeviceGetName(name, sizeof(name), device));
  std::printf("%s\n", name);
  CUcontext context;
  CHECK(cuDevicePrimaryCtxRetain(&context, device));
  CHECK(cuCtxSetCurrent(context));
  CUmodule module;
  CHECK(cuModuleLoad(&module, arguments[1]));
  add_vectors(module);
  multiply_matrices(module);
  sum_in_a_graph(module);
  CHECK(cuModuleUnload(module));
  CHECK(cuDevicePrimaryCtxRelease(device));
  return 0;
}
