// What the sanitizers must know of every program here; they ask the program alone, not its libraries.
#define SETTINGS extern "C" __attribute__((visibility("default"))) const char *

// An allocation that is too large gives null, as it does without a sanitizer.
//
// Thread-local blocks of opened libraries are not looked for: GCC 12's leak checker guesses a block's bounds from what
// stands before it, where the block lies 16 bytes into a page, and then ends the program ("Tracer caught signal 11"). No
// thread-local variable here is the only owner of memory.
//
// Memory is not marked by hand: allocators in LLVM's headers mark what LLVM's libraries, which are built without the
// sanitizer, do not unmark.
SETTINGS __asan_default_options() {
  return "allocator_may_return_null=1:intercept_tls_get_addr=0:allow_user_poisoning=0";
}

SETTINGS __tsan_default_options() {
  return "allocator_may_return_null=1";
}

SETTINGS __tsan_default_suppressions() {
  return
      // The memory of an emulated card, and the records of who touched it, are shared by the host's threads as the
      // emulated program shares them between blocks, its races included: telling of those is the work of the emulator's
      // own checkers.
      "race:tenon::emulator::*::load<\n"
      "race:tenon::emulator::*::store<\n"
      "race:tenon::emulator::*::atomic<\n"
      "race:tenon::emulator::*::observe_order\n"
      "race:tenon::emulator::judge_accesses\n"
      // Debian's oneTBB is not built for the sanitizer, which so cannot see that a task begins after what its maker wrote.
      "race:tbb::detail\n"
      "called_from_lib:libtbb.so.12\n"
      // The table of a locale is filled where it is first asked, with what would stand there anyway (GCC bug 77704).
      "race:std::ctype<char>::narrow\n";
}
