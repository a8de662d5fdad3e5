#include "Interposed.h"

#include <cerrno>
#include <cstdarg>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

struct Armed {
  bool on = false;
  int number = 0, error = 0, calls = 0;
  const char *failed = "";
};
thread_local Armed armed;

[[maybe_unused]] bool fails(const char *name) {
  if (!armed.on || armed.calls++ != armed.number)
    return false;
  armed.failed = name;
  errno = armed.error;
  return true;
}

} // namespace

namespace tenon::testing {

FailingCall::FailingCall(int number, int error) {
  armed = {.on = true, .number = number, .error = error};
}
FailingCall::~FailingCall() {
  armed.on = false;
}
const char *FailingCall::failed() {
  return armed.failed;
}

bool can_interpose() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#else
  return true;
#endif
}

} // namespace tenon::testing

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

template <typename Function> static Function *next(Function *, const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

#define TENON_EXPORTED __attribute__((visibility("default")))
#define INTERPOSE(result, name, parameters, arguments, failure)                                    \
  extern "C" TENON_EXPORTED result name parameters {                                               \
    static auto *real = next(&name, #name);                                                        \
    return fails(#name) ? (failure) : real arguments;                                              \
  }

#pragma GCC diagnostic ignored "-Wnonnull-compare"
INTERPOSE(ssize_t, read, (int file, void *to, size_t size), (file, to, size), -1)
INTERPOSE(ssize_t, write, (int file, const void *from, size_t size), (file, from, size), -1)
INTERPOSE(int, fsync, (int file), (file), -1)

// Some file systems tell of a full disk only when a file is closed. The library closes a copy of the descriptor to
// hear it; what it closes otherwise was only read, or has nothing to say any more.
static thread_local int copy = -1;
extern "C" TENON_EXPORTED int dup(int file) {
  static auto *real = next(&dup, "dup");
  return fails("dup") ? -1 : copy = real(file);
}
extern "C" TENON_EXPORTED int close(int file) {
  static auto *real = next(&close, "close");
  const bool copied = file >= 0 && file == copy;
  if (copied)
    copy = -1;
  const bool failing = copied && fails("close");
  const int error = errno, result = real(file);
  errno = failing ? error : errno;
  return failing ? -1 : result;
}

INTERPOSE(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), -1)
INTERPOSE(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), -1)
INTERPOSE(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), -1)
INTERPOSE(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
INTERPOSE(int, fstat, (int file, struct stat *to), (file, to), -1)
INTERPOSE(int, fstatat, (int at, const char *path, struct stat *to, int flags),
          (at, path, to, flags), -1)
INTERPOSE(int, futimens, (int file, const struct timespec times[2]), (file, times), -1)
INTERPOSE(DIR *, fdopendir, (int file), (file), nullptr)
INTERPOSE(struct dirent *, readdir, (DIR * stream), (stream), nullptr)

// Those with an argument that may be absent; it is passed on in any case.
#define INTERPOSE_MORE(name, parameters, last, arguments)                                          \
  extern "C" TENON_EXPORTED int name parameters {                                                  \
    static auto *real = next(&name, #name);                                                        \
    va_list list;                                                                                  \
    va_start(list, last);                                                                          \
    void *more = va_arg(list, void *);                                                             \
    va_end(list);                                                                                  \
    return fails(#name) ? -1 : real arguments;                                                     \
  }
INTERPOSE_MORE(open, (const char *path, int flags, ...), flags, (path, flags, more))
INTERPOSE_MORE(openat, (int at, const char *path, int flags, ...), flags, (at, path, flags, more))
INTERPOSE_MORE(fcntl, (int file, int command, ...), command, (file, command, more))

#endif
