// The parts of global memory that an access holds for itself until it is over.
#pragma once
#include "execute/Lanes.h"

namespace tenon::emulator::TENON_ISA {

class HeldWords {
public:
  HeldWords() = default;
  HeldWords(const HeldWords &) = delete;
  HeldWords &operator=(const HeldWords &) = delete;
  ~HeldWords() { release(); }

  /// Locks the words of an access, all in one order, so that no two wait for each other. Nothing is held before.
  void take(WordLock *locks, u32 mask, const u64 *address, u32 bytes, bool consecutive) {
    locks_ = locks;
    if (consecutive) {
      u32 first = number_of(address[0]), last = number_of(address[0] + 32 * u64{bytes} - 1);
      lock(first < last ? first : last);
      if (first != last)
        lock(first < last ? last : first);
      return;
    }
    u64 wanted[kWordLocks / 64] = {};
    u32 before = kWordLocks;
    for (u32 rest = mask; rest; rest &= rest - 1) {
      u32 number = number_of(address[__builtin_ctz(rest)]); // what a lane touches is aligned: it lies in one part
      if (number != before)
        wanted[number / 64] |= u64{1} << number % 64;
      before = number;
    }
    for (u32 i = 0; i < kWordLocks / 64; i++)
      for (u64 rest = wanted[i]; rest; rest &= rest - 1)
        lock(i * 64 + static_cast<u32>(__builtin_ctzll(rest)));
  }

  void release() {
    for (; count_; count_--)
      __atomic_store_n(&locks_[numbers_[count_ - 1]].held, 0, __ATOMIC_RELEASE);
  }

private:
  static u32 number_of(u64 address) { return static_cast<u32>(address >> kLockedPartBits) % kWordLocks; }
  void lock(u32 number) {
    if (__builtin_expect(__atomic_exchange_n(&locks_[number].held, 1, __ATOMIC_ACQUIRE) != 0, 0))
      wait_for_lock(locks_[number]);
    numbers_[count_++] = static_cast<u16>(number);
  }

  WordLock *locks_ = nullptr;
  u32 count_ = 0;
  u16 numbers_[32];
};

} // namespace tenon::emulator::TENON_ISA
