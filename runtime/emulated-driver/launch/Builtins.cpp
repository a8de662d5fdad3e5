#include "launch/Builtins.h"
#include "launch/Launch.h"
#include <bit>
#include <cstdio>
#include <cstring>

namespace tenon::emulator {
namespace {
constexpr size_t kLongestText = 4096;

/// Reads memory of one lane through generic addresses, for text and arguments. What is not there reads as 0.
class LaneMemory {
public:
  LaneMemory(const Warp &warp, int lane) : warp_(warp), lane_(lane) {}

  const std::byte *bytes(uint64_t address, uint64_t size) const {
    const Block &block = *warp_.block;
    if (address - kSharedWindow < kWindowSize)
      return inside(block.shared, block.shared_bytes, address - kSharedWindow, size);
    if (address - kLocalWindow < kWindowSize) {
      const std::byte *own = block.local + (uint64_t{warp_.index} * kLanes + static_cast<uint64_t>(lane_)) * block.local_bytes;
      return inside(own, block.local_bytes, address - kLocalWindow, size);
    }
    const DeviceMemory *memory = static_cast<const Launch *>(block.launch)->request().memory;
    return memory->find(address, size) ? memory->data(address) : nullptr;
  }
  template <class T> T read(uint64_t address) const {
    T value{};
    if (const std::byte *at = bytes(address, sizeof(T)))
      std::memcpy(&value, at, sizeof(T));
    return value;
  }
  std::string text(uint64_t address) const {
    std::string text;
    for (const std::byte *at; text.size() < kLongestText && (at = bytes(address + text.size(), 1)) && *at != std::byte{0};)
      text += static_cast<char>(*at);
    return text;
  }

private:
  static const std::byte *inside(const std::byte *begin, uint64_t bytes, uint64_t offset, uint64_t size) {
    return offset <= bytes && size <= bytes - offset ? begin + offset : nullptr;
  }
  const Warp &warp_;
  int lane_;
};

/// printf's language over packed arguments, each at a multiple of its size.
class Printer {
public:
  Printer(const LaneMemory &memory, uint64_t arguments) : memory_(memory), next_(arguments) {}

  std::string print(const std::string &format) {
    std::string out;
    for (size_t i = 0; i < format.size(); i++) {
      if (format[i] != '%') {
        out += format[i];
        continue;
      }
      size_t end = format.find_first_not_of("-+ #0123456789.*hljztL", i + 1);
      if (end == std::string::npos)
        return out + format.substr(i);
      out += conversion(format.substr(i, end + 1 - i));
      i = end;
    }
    return out;
  }
  int32_t count() const { return count_; }

private:
  template <class T> T take() {
    next_ = (next_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    T value = memory_.read<T>(next_);
    next_ += sizeof(T);
    count_++;
    return value;
  }
  template <class T> static std::string formatted(const std::string &spec, T value) {
    char text[kLongestText];
    int length = std::snprintf(text, sizeof(text), spec.c_str(), value);
    return std::string(text, static_cast<size_t>(std::min<int>(std::max(length, 0), sizeof(text) - 1)));
  }
  std::string conversion(std::string spec) {
    for (size_t star; (star = spec.find('*')) != std::string::npos;)
      spec.replace(star, 1, std::to_string(take<int32_t>()));
    char kind = spec.back();
    bool wide = spec.find_first_of("ljzt") != std::string::npos;
    spec.erase(std::remove_if(spec.begin(), spec.end(), [](char c) { return std::strchr("hljztL", c) != nullptr; }),
               spec.end());
    std::string longer = spec.substr(0, spec.size() - 1) + "ll" + kind;
    switch (kind) {
    case '%':
      return "%";
    case 'd':
    case 'i':
      return wide ? formatted(longer, take<long long>()) : formatted(spec, take<int32_t>());
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return wide ? formatted(longer, take<unsigned long long>()) : formatted(spec, take<uint32_t>());
    case 'c':
      return formatted(spec, take<int32_t>());
    case 'p':
      return formatted(spec, reinterpret_cast<void *>(take<uint64_t>()));
    case 's':
      return formatted(spec, memory_.text(take<uint64_t>()).c_str());
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
      return formatted(spec, take<double>());
    default:
      return spec;
    }
  }

  const LaneMemory &memory_;
  uint64_t next_;
  int32_t count_ = 0;
};

uint64_t argument(const Warp &warp, const Op *op, int lane, uint32_t number) {
  const uint32_t *arguments = arguments_of(op);
  uint64_t value = 0;
  if (number < arguments[0])
    std::memcpy(&value, local_memory(warp, *warp.frame, lane) + arguments[1 + 2 * number],
                std::min<uint32_t>(arguments[2 + 2 * number], 8));
  return value;
}

void print(Warp &warp, const Op *op, int lane) {
  LaneMemory memory(warp, lane);
  Printer printer(memory, argument(warp, op, lane, 1));
  std::string text = printer.print(memory.text(argument(warp, op, lane, 0)));
  std::fwrite(text.data(), 1, text.size(), stdout);
  int32_t count = printer.count();
  if (op->more[0] > 0 && op->more[2] >= sizeof(count)) {
    std::byte *to = local_memory(warp, *warp.frame, lane) + op->more[1];
    std::memcpy(to, &count, sizeof(count));
    std::memset(warp.block->local_shadow + (to - warp.block->local), kWritten, sizeof(count));
  }
}

void assertion_failed(Warp &warp, const Op *op, int lane) {
  LaneMemory memory(warp, lane);
  auto text = [&](uint32_t number) { return memory.text(argument(warp, op, lane, number)); };
  auto line = static_cast<uint32_t>(argument(warp, op, lane, 2));
  Launch &launch = *static_cast<Launch *>(warp.block->launch);
  launch.report(warp, op, FindingKind::kTrap, static_cast<uint32_t>(lane),
                text(1) + ":" + std::to_string(line) + ": " + text(3) + ": assertion '" + text(0) + "' failed");
  launch.fail(LaunchFailure::kAssert);
  warp.stop = Stop::kFault;
}
} // namespace

std::byte *local_memory(const Warp &warp, const Frame &frame, int lane) {
  const Block &block = *warp.block;
  return block.local + (uint64_t{warp.index} * kLanes + static_cast<uint64_t>(lane)) * block.local_bytes + frame.local;
}

void run_builtin(Warp &warp, const Op *op, uint32_t mask, Builtin builtin) {
  if (builtin == Builtin::kAssert)
    return assertion_failed(warp, op, std::countr_zero(mask));
  for (; mask; mask &= mask - 1)
    print(warp, op, std::countr_zero(mask));
}

} // namespace tenon::emulator
