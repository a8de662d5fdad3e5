/// Locks on single bytes of a file that belong to whoever opened it (F_OFD_SETLK), and die with
/// him: between threads and between processes alike; closing the file ends them. Nothing has to be
/// cleaned up after a crash.
#pragma once

#include <chrono>
#include <cstdint>

namespace tenon {

enum class LockKind : uint8_t { kShared, kExclusive };

/// Whether this errno says that the file system has no locks at all.
bool no_locks(int number);

/// False where somebody else holds it, or the file system has no locks (errno says which).
bool try_lock_byte(int file, uint64_t byte, LockKind kind);

/// What a wait ended with.
enum class LockWait : uint8_t { kLocked, kTimedOut, kNoLocks };
LockWait lock_byte(int file, uint64_t byte, std::chrono::milliseconds most);

/// Descriptors whose locks a child of fork must not keep alive: they are closed in it.
void close_in_children(int file);
void keep_no_longer(int file);

} // namespace tenon
