// Calls: recursion, functions of their own, pointers to functions, virtual ones, printf, assert.
#include <cassert>
#include <cstdio>

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
extern "C" __global__ void recursion(int *out) { out[threadIdx.x] = fibonacci(threadIdx.x % 13); }

// Walks a tree of an array by recursion with a table of its own on the stack.
__device__ __noinline__ int deepest(const int *children, int node, int depth, int *path) {
  int own[4] = {node, depth, path[0], path[1]};
  int most = depth;
  for (int side = 0; side < 2; side++) {
    int child = children[2 * node + side];
    if (child >= 0)
      most = max(most, deepest(children, child, depth + 1, own));
  }
  return own[0] == node && own[1] == depth ? most : -1000;
}
extern "C" __global__ void tree(int *out, const int *children) {
  int path[2] = {-1, -1};
  out[threadIdx.x] = deepest(children, threadIdx.x % 8, 0, path);
}

struct Pair {
  double first;
  int second;
};
__device__ __noinline__ Pair scaled(Pair pair, double factor, short shift) {
  return {pair.first * factor, pair.second << shift};
}
extern "C" __global__ void structures(double *out) {
  Pair pair{0.5 * threadIdx.x, (int)threadIdx.x};
  if (threadIdx.x % 3 == 0) // some lanes call once, some twice
    pair = scaled(pair, 2, 1);
  pair = scaled(pair, 3, 2);
  out[threadIdx.x] = pair.first + pair.second;
}

__device__ __noinline__ float twice(float x) { return 2 * x; }
__device__ __noinline__ float square(float x) { return x * x; }
__device__ __noinline__ float negative(float x) { return -x; }
__device__ float (*const functions[3])(float) = {twice, square, negative};
extern "C" __global__ void pointers(float *out) { out[threadIdx.x] = functions[threadIdx.x % 3](threadIdx.x + 1.0f); }

struct Shape {
  float size;
  __device__ virtual float area() const { return 0; }
};
struct Square : Shape {
  __device__ float area() const override { return size * size; }
};
struct Circle : Shape {
  __device__ float area() const override { return 3 * size * size; }
};
extern "C" __global__ void virtuals(float *out) {
  Square square;
  Circle circle;
  square.size = circle.size = threadIdx.x;
  const Shape *shape = threadIdx.x % 2 ? (const Shape *)&square : (const Shape *)&circle;
  asm volatile("" : "+l"(shape)); // the compiler does not know which
  out[threadIdx.x] = shape->area();
}

extern "C" __global__ void prints(int x) {
  if (threadIdx.x < 2)
    printf("thread %d of %s: %5.2f %llx %c%%\n", threadIdx.x, "block", 1.5 * x, 0x123456789abcull, 'z');
}

extern "C" __global__ void asserts(int x) { assert(x == 5); }
