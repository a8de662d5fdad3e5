// Doubles, 64-bit integers, division, local arrays, constant memory, tables of cases.
__constant__ int weights[5] = {3, 1, 4, 1, 5};
__device__ double factors[4] = {1.5, -2.25, 0.0, 1e300};

extern "C" __global__ void doubles(double *out, const double *in) {
  double x = in[threadIdx.x];
  out[threadIdx.x] = sqrt(fabs(x)) / (x * x + 1) + fma(x, factors[threadIdx.x % 3], (double)(float)x) + floor(x) +
                     (double)(long long)(x * 100);
}

extern "C" __global__ void elementary(double *out, const double *in) {
  double x = in[threadIdx.x];
  out[threadIdx.x] = exp(x) + sin(x) * log(fabs(x) + 1) + cbrt(x) + atan2(x, 2.0) + pow(fabs(x), 0.3);
}

extern "C" __global__ void integers(long long *out, const long long *a, const long long *b) {
  long long x = a[threadIdx.x], y = b[threadIdx.x];
  unsigned long long u = x, v = y;
  out[threadIdx.x] = x * y + (y ? x / y : 0) + (v ? u % v : 1) + __umul64hi(u, v) + (x >> (y & 63)) + __popcll(u) + __clzll(v) +
                     (long long)__brevll(u) + __byte_perm((int)x, (int)y, 0x2541) + __funnelshift_l((int)x, (int)y, 7);
}

extern "C" __global__ void sorted(int *out, const int *in) {
  int own[16]; // sorted by insertion, in local memory
  for (int i = 0; i < 16; i++) {
    int x = in[threadIdx.x * 16 + i], at = i;
    for (; at > 0 && own[at - 1] > x; at--)
      own[at] = own[at - 1];
    own[at] = x;
  }
  int sum = 0;
  for (int i = 0; i < 16; i++)
    sum = sum * 3 + own[(i + threadIdx.x) % 16];
  out[threadIdx.x] = sum;
}

extern "C" __global__ void cases(int *out, const int *in) {
  int x = in[threadIdx.x], y = 0;
  switch (x) {
  case 0: y = 17; break;
  case 1: y = x * 5 + threadIdx.x; break;
  case 2: for (int i = 0; i < 5; i++) y += weights[i] * i; break;
  case 3: y = weights[threadIdx.x % 5]; break;
  case 4: y = -1; break;
  case 5: y = x ^ threadIdx.x; break;
  case 6: y = __ffs(threadIdx.x + 8); break;
  default: y = 99; break;
  }
  out[threadIdx.x] = y;
}

extern "C" __global__ void bytes(unsigned *out, const unsigned *in) {
  const unsigned char *p = (const unsigned char *)&in[threadIdx.x];
  unsigned x = in[threadIdx.x];
  out[threadIdx.x] = p[0] + 256 * p[3] + __vabsdiffu4(x, 0x10203040) + __dp4a((int)x, 0x01020304, 5) + __vadd2(x, x);
}
