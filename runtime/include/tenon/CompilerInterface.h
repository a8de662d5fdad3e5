/// The narrow door between the runtime and the compiler: bytes in, bytes out, in C.
///
/// The compiler is a shared object of its own (libtenon-compiler.so), opened at the first kernel that
/// no cache holds, with RTLD_LOCAL, so that a program may hold another LLVM. A request is JSON:
///
///     {"graph": "<canonical text>", "signature": {…}, "target": "sm_80" | "host" | "host:x86-64-v4…",
///      "emit": "image" | "attention" | "tile" | "nvvm" | "llvm" | "ptx" | "asm",
///      "options": {"tile_queries": 64, …}}
///
/// The result's bytes are a kernel image (KernelImage.h) for "image", else text. A failure's bytes are
/// JSON: {"message": "…", "reasons": [{"what": "fuse", "why": "…"}…]}.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when the two sides can no longer talk to each other. */
#define TENON_COMPILER_INTERFACE_VERSION 2

typedef enum {
  TENON_COMPILED = 0,
  TENON_REFUSED = 1, /* the graph cannot be compiled for the target, or not with these options: the reasons say why */
  TENON_FAILED = 2   /* a wrong request, or a defect of the compiler */
} TenonCompileStatus;

typedef struct {
  TenonCompileStatus status;
  unsigned char *bytes; /* owned by the result */
  size_t size;
  double milliseconds; /* spent compiling */
} TenonCompileResult;

typedef struct {
  uint32_t version; /* TENON_COMPILER_INTERFACE_VERSION */
  void (*compile)(const char *request, size_t size, TenonCompileResult *result);
  void (*release)(TenonCompileResult *result);
  /* What the compiler was built with. It links the runtime, and its code is kept under the runtime's keys: where
     either number is not the runtime's own, nothing is compiled. */
  uint64_t fingerprint;     /* tenon::kRuntimeFingerprint */
  uint32_t code_generation; /* tenon::kCodeGenerationVersion */
} TenonCompilerInterface;

/* The one symbol that the shared object exports. */
#define TENON_COMPILER_ENTRY "tenon_compiler_interface"
typedef const TenonCompilerInterface *(*TenonCompilerEntry)(void);

#ifdef __cplusplus
}
#endif
