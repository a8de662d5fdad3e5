#include "device/host/ExecutableMemory.h"

#include "device/Text.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace tenon {

Result<ExecutableMemory> ExecutableMemory::make(std::span<const std::byte> code) {
  if (code.empty())
    return Error(ErrorCode::kInvalidArgument, "host code: the section is empty");
  void *pages =
      mmap(nullptr, code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return Error(ErrorCode::kOutOfMemory,
                 concat("host code: mmap of ", code.size(), " bytes: ", strerrordesc_np(errno)));
  ExecutableMemory memory(static_cast<std::byte *>(pages), code.size());
  std::memcpy(pages, code.data(), code.size());
  if (mprotect(pages, code.size(), PROT_READ | PROT_EXEC) != 0)
    return Error(ErrorCode::kUnsupported,
                 concat("host code: mprotect to executable: ", strerrordesc_np(errno)));
  return memory;
}

ExecutableMemory::ExecutableMemory(ExecutableMemory &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

ExecutableMemory::~ExecutableMemory() {
  if (data_)
    munmap(data_, size_);
}

} // namespace tenon
