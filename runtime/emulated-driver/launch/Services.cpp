// The slow paths of the executor.
#include "execute/Services.h"
#include "launch/Flow.h"
#include "launch/Launch.h"
#include <bit>
#include <chrono>
#include <cstring>

namespace tenon::emulator {
namespace {
std::string hexadecimal(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
  return text;
}
std::string triple(const uint32_t *values) {
  return "(" + std::to_string(values[0]) + ", " + std::to_string(values[1]) + ", " + std::to_string(values[2]) + ")";
}
constexpr std::string_view kSpaceNames[] = {"generic", "global", "shared", "local", "constant", "parameter"};
constexpr std::string_view kAccessNames[] = {"read", "write", "atomic", "source of an asynchronous copy",
                                             "destination of an asynchronous copy", "use of an mbarrier object",
                                             "end of an mbarrier object"};

std::string describe_access(const Warp &warp, const AccessRecord &access) {
  const Block &block = *warp.block;
  switch (access.space) {
  case Space::kShared:
    return "shared memory of " + std::to_string(block.shared_bytes) + " bytes";
  case Space::kLocal:
    return "local memory of " + std::to_string(block.local_bytes) + " bytes a thread";
  case Space::kParam:
    return "parameters of " + std::to_string(block.parameter_bytes) + " bytes";
  case Space::kConst:
    return launch_of(block).request().memory->describe_constant(access.address);
  default:
    return launch_of(block).request().memory->describe(access.address);
  }
}
} // namespace

bool find_allocation(Block &block, uint64_t address, uint32_t bytes) {
  const Allocation *allocation = launch_of(block).request().memory->find(address, bytes);
  if (!allocation)
    return false;
  if (allocation->host_visible())
    launch_of(block).note_host_memory();
  block.allocation_begin = allocation->begin;
  block.allocation_end = allocation->begin + allocation->size;
  return true;
}

bool find_constant(Block &block, uint64_t address, uint32_t bytes) {
  const Allocation *variable = launch_of(block).request().memory->find(address, bytes);
  if (!variable || !variable->constant)
    return false;
  block.constant_begin = variable->begin;
  block.constant_end = variable->begin + variable->size;
  return true;
}

bool Launch::is_known(const Op *op, FindingKind kind) const {
  const Kernel &kernel = *request_.kernel;
  const Instruction *instruction = request_.program->instruction(*op);
  return !(kinds_ & kind_bit(kind)) ||
         Report::instance().count(kind, kernel.name,
                                  instruction ? instruction->location : Location{});
}

std::string Launch::describe(uint64_t operation, uint32_t warp, uint32_t lane) const {
  const uint32_t linear = warp * kLanes + lane, *shape = request_.block;
  const uint32_t thread[3] = {linear % shape[0], linear / shape[0] % shape[1], linear / shape[0] / shape[1]};
  std::string text = "thread " + triple(thread);
  const Program &program = *request_.program;
  const Instruction *instruction = operation < program.ops.size() ? program.instruction(program.ops[operation]) : nullptr;
  if (!instruction)
    return text;
  return text + " at ptx line " + std::to_string(instruction->location.line) + " (" + instruction->opcode + ")";
}

void Launch::report(const Warp &warp, const Op *op, FindingKind kind, uint32_t lane, const std::string &what,
                    const AccessRecord *access) {
  const Kernel &kernel = *request_.kernel;
  Finding finding;
  finding.kind = kind;
  finding.kernel = kernel.name;
  if (const Instruction *instruction = request_.program->instruction(*op)) {
    finding.location = instruction->location;
    finding.opcode = instruction->opcode;
    finding.source_line = instruction->source_line;
    if (kernel.source) {
      finding.ptx = kernel.source->line(instruction->location.line);
      auto file = kernel.source->files.find(instruction->source_file);
      finding.source_file = instruction->source_line && file != kernel.source->files.end() ? file->second : "";
    }
  }
  uint32_t linear = warp.index * kLanes + lane;
  const uint32_t *index = warp.block->index;
  finding.thread = {{index[0], index[1], index[2]},
                    {linear % request_.block[0], linear / request_.block[0] % request_.block[1],
                     linear / request_.block[0] / request_.block[1]},
                    warp.index,
                    lane};
  finding.detail = what;
  if (access) {
    finding.access = *access;
    finding.allocation = describe_access(warp, *access);
    finding.detail = std::string(kSpaceNames[static_cast<size_t>(access->space)]) + " " +
                     std::string(kAccessNames[static_cast<size_t>(access->access)]) + " of " +
                     std::to_string(access->bytes) + " bytes at " + hexadecimal(access->address) + ", " +
                     finding.allocation + (what.empty() ? "" : "; " + what);
  }
  finding.text = std::string(finding_name(kind)) + ": kernel '" + kernel.name + "', ptx line " +
                 std::to_string(finding.location.line) + " (" + finding.opcode + ")" +
                 (finding.source_file.empty()
                      ? ""
                      : " from " + finding.source_file + ":" + std::to_string(finding.source_line)) +
                 ", block " + triple(warp.block->index) + ", thread " + triple(finding.thread->thread) + ": " +
                 finding.detail;
  Report::instance().add(std::move(finding));
}

/// The copy on its way to bytes of shared memory, for findings.
static std::string describe_pending(const Block &block, uint64_t address, uint32_t bytes) {
  for (uint32_t owner = 0; owner < block.warp_count; owner++)
    for (const AsyncCopies::Record &record : block.warps[owner].copies->pending)
      for (uint32_t lanes = record.mask; lanes; lanes &= lanes - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(lanes));
        if (address >= record.destination[lane] + uint64_t{record.bytes} || record.destination[lane] >= address + bytes)
          continue;
        const uint32_t newer = block.warps[owner].copies->group[lane] - record.group;
        return "the copy by " +
               launch_of(block).describe(record.stamp >> access_record::kOperation & access_record::kMostOperations, owner, lane) +
               " has not been waited for: it is in " +
               (newer ? "the group that this thread committed " +
                            (newer == 1 ? std::string("last") : std::to_string(newer - 1) + " before the last") +
                            ", so that only cp.async.wait_group " + std::to_string(newer - 1) +
                            (newer > 1 ? " or less" : "") + " waits for it"
                      : "a group that was not committed");
      }
  return "";
}

void report_access(Warp &warp, const Op *op, FindingKind kind, uint32_t lane, const AccessRecord &access) {
  Launch &launch = launch_of(*warp.block);
  AccessRecord told = access;
  if (access.space == Space::kLocal && kind == FindingKind::kUninitialisedMemory)
    told.address %= std::max<uint64_t>(warp.block->local_bytes, 1);
  if (kind == FindingKind::kOutOfBounds && access.space == Space::kGlobal &&
      launch.request().memory->was_freed(access.address))
    kind = FindingKind::kUseAfterFree;
  if (!launch.is_known(op, kind))
    launch.report(warp, op, kind, lane,
                  kind == FindingKind::kWarpRace      ? "another lane of the warp writes another value there"
                  : kind == FindingKind::kUninitialisedMemory && access.access == AccessKind::kWrite
                      ? "copies bytes of local memory that nobody wrote"
                  : kind == FindingKind::kPendingCopy ? describe_pending(*warp.block, access.address, access.bytes)
                                                      : "",
                  &told);
  constexpr FindingKinds kFaults = kind_bit(FindingKind::kOutOfBounds) | kind_bit(FindingKind::kUseAfterFree) |
                                   kind_bit(FindingKind::kMisaligned);
  if (!(kind_bit(kind) & kFaults))
    return;
  launch.fail(kind == FindingKind::kMisaligned ? LaunchFailure::kMisalignedAddress : LaunchFailure::kIllegalAddress);
  warp.stop = Stop::kFault;
}

void report_overwritten_copy(Warp &warp, const Op *op, uint32_t lane, uint32_t address, uint32_t bytes, AccessKind kind) {
  Launch &launch = launch_of(*warp.block);
  const AccessRecord access{Space::kShared, kind, address, bytes};
  if (!launch.is_known(op, FindingKind::kPendingCopy))
    launch.report(warp, op, FindingKind::kPendingCopy, lane,
                  "an asynchronous copy to these bytes has not been waited for; " + describe_pending(*warp.block, address, bytes),
                  &access);
}

void report_mbarrier(Warp &warp, const Op *op, uint32_t lane, const AccessRecord &access, const char *why) {
  Launch &launch = launch_of(*warp.block);
  if (!launch.is_known(op, FindingKind::kMbarrierMisuse))
    launch.report(warp, op, FindingKind::kMbarrierMisuse, lane, why, &access);
}

void report_operation(Warp &warp, const Op *op, FindingKind kind, uint32_t lanes, const char *detail) {
  Launch &launch = launch_of(*warp.block);
  if (!launch.is_known(op, kind)) {
    std::string what = detail ? detail : "";
    if (kind == FindingKind::kUninitialisedRegister)
      what = "reads " + launch.request().program->suspect_registers[static_cast<size_t>(op->immediate)] +
             ", which this thread has not written";
    what += "; lanes " + hexadecimal(lanes) + " of warp " + std::to_string(warp.index);
    launch.report(warp, op, kind, lanes ? static_cast<uint32_t>(std::countr_zero(lanes)) : 0, what);
  }
  if (kind == FindingKind::kTrap) {
    launch.fail(LaunchFailure::kTrap);
    warp.stop = Stop::kFault;
  }
}

/// A place in the calls of a warp's lanes: before `next` of `frame`.
struct Place {
  const Frame *frame;
  const Op *next;
};
/// True if lanes there do nothing more than exit.
static bool leads_straight_out(const Program &program, Place at) {
  for (size_t steps = 0; steps < program.ops.size(); steps++) {
    const auto op = static_cast<uint64_t>(at.next - program.ops.data());
    if (at.next->guard != kNoSlot)
      return false;
    if (program.rows[op] >= 0 && opcode_row(program.rows[op]).operands == "@branch") {
      at.next = program.ops.data() + at.next->target;
    } else if (!may_end_at(program, op)) {
      return false;
    } else if (!at.frame->caller || !opcode_row(program.rows[op]).spelling.starts_with("ret")) {
      return true;
    } else {
      at = {at.frame->caller, at.frame->call + 1};
    }
  }
  return false;
}
/// True if lanes at `from` cannot but come to where others are; calls are compared where both began from one frame.
static bool leads_to(const Program &program, Place from, Place to) {
  auto out_of_from = [&] { from = {from.frame->caller, from.frame->call + 1}; };
  auto out_of_to = [&] { to = {to.frame->caller, to.frame->call}; };
  while (from.frame != to.frame) {
    const bool from_is_deeper = from.frame->depth >= to.frame->depth, to_is_deeper = to.frame->depth >= from.frame->depth;
    if (from_is_deeper)
      out_of_from();
    if (to_is_deeper)
      out_of_to();
  }
  return must_pass(program, static_cast<uint64_t>(from.next - program.ops.data()),
                   static_cast<uint64_t>(to.next - program.ops.data()));
}

void note_passed(Warp &warp, const Op *op) {
  const Program &program = *launch_of(*warp.block).request().program;
  for (int i = 0; i < warp.group_count; i++) {
    const Group &group = warp.groups[i];
    if (group.next == op && group.frame == warp.frame)
      continue;
    const Place others{group.frame, group.next};
    if (!leads_straight_out(program, others) && leads_to(program, {warp.frame, op + 1}, others))
      warp.passed |= group.mask;
  }
}

static void keep_sources(AsyncCopies::Record &record, const CopiedBytes &copied) {
  record.first_source = ~uint64_t{0};
  record.sources_end = 0;
  std::memcpy(record.source, copied.source, sizeof(record.source));
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    record.size[lane] = static_cast<uint8_t>(copied.size[lane]);
    if (!(record.mask >> lane & 1) || !copied.size[lane])
      continue;
    record.first_source = std::min(record.first_source, copied.source[lane]);
    record.sources_end = std::max(record.sources_end, copied.source[lane] + copied.size[lane]);
  }
}

void issue_copies(Warp &warp, const Op *op, uint32_t mask, const CopiedBytes &copied) {
  const uint32_t bytes = copied.bytes;
  AsyncCopies &copies = *warp.copies;
  constexpr int kPoison = 0xff; // not a number in every format
  const uint64_t number = std::min(static_cast<uint64_t>(op - warp.program), access_record::kMostOperations);
  const uint64_t stamp = number << access_record::kOperation | uint64_t{warp.index} << access_record::kWarp |
                         access_record::kAllBytes;
  warp.block->pending += static_cast<uint32_t>(std::popcount(mask));
  for (uint32_t rest = mask; rest;) {
    uint32_t group = copies.group[std::countr_zero(rest)], same = 0;
    for (uint32_t lanes = rest; lanes; lanes &= lanes - 1) {
      int lane = std::countr_zero(lanes);
      same |= static_cast<uint32_t>(copies.group[lane] == group) << lane;
    }
    AsyncCopies::Record &record = copies.pending.emplace_back();
    record.mask = same;
    record.bytes = bytes;
    record.group = group;
    record.stamp = stamp;
    record.number = copies.issued++;
    std::memcpy(record.destination, copied.destination, sizeof(record.destination));
    std::memcpy(record.data, copied.data, size_t{kLanes} * bytes);
    keep_sources(record, copied);
    for (uint32_t lanes = same; lanes; lanes &= lanes - 1) {
      uint32_t at = copied.destination[std::countr_zero(lanes)];
      std::memset(warp.block->shared + at, kPoison, bytes);
      std::memset(warp.block->shared_shadow + at, kPending, bytes);
    }
    rest &= ~same;
  }
}

/// A lane whose copy still reads one of the bytes; kLanes where none does.
static uint32_t lane_that_reads(const AsyncCopies::Record &record, uint64_t address, uint32_t bytes) {
  if (address >= record.sources_end || address + bytes <= record.first_source)
    return kLanes;
  for (uint32_t lanes = record.mask; lanes; lanes &= lanes - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(lanes));
    if (address < record.source[lane] + record.size[lane] && record.source[lane] < address + bytes)
      return lane;
  }
  return kLanes;
}

void check_copied_sources(Warp &warp, const Op *op, uint32_t mask, AccessKind kind, const uint64_t *address, uint32_t bytes) {
  const Block &block = *warp.block;
  Launch &launch = launch_of(block);
  for (uint32_t owner = 0; owner < block.warp_count; owner++)
    for (const AsyncCopies::Record &record : block.warps[owner].copies->pending)
      for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
        const uint32_t reader = lane_that_reads(record, address[lane], bytes);
        if (reader == kLanes)
          continue;
        const AccessRecord access{Space::kGlobal, kind, address[lane], bytes};
        if (!launch.is_known(op, FindingKind::kPendingCopy))
          launch.report(warp, op, FindingKind::kPendingCopy, lane,
                        "the source of a pending copy is overwritten: that of " +
                            launch.describe(record.stamp >> access_record::kOperation & access_record::kMostOperations, owner, reader) +
                            " has not been waited for",
                        &access);
        return;
      }
}

void commit_copies(Warp &warp, uint32_t mask) {
  warp.block->changes++;
  for (; mask; mask &= mask - 1)
    warp.copies->group[std::countr_zero(mask)]++;
}

/// To the other threads the bytes are written now.
static void arrive_copy(Block &block, const AsyncCopies::Record &record, uint32_t lane) {
  block.pending--;
  block.changes++;
  if (!block.shared_records.writes)
    return;
  auto *words = reinterpret_cast<uint64_t *>(block.shared_records.writes + 2 * uint64_t{record.destination[lane]});
  for (uint32_t i = 0; i < record.bytes / 4; i++)
    words[i] = record.stamp | block.shared_records.when | uint64_t{lane} << access_record::kLane;
}

static void commit_copy(Block &block, AsyncCopies::Record &record, int lane) {
  std::memcpy(block.shared + record.destination[lane], record.data + size_t(lane) * record.bytes, record.bytes);
  std::memset(block.shared_shadow + record.destination[lane], kWritten, record.bytes);
  record.mask &= ~(1u << lane);
  arrive_copy(block, record, static_cast<uint32_t>(lane));
}

void arrive_with_copies(Warp &warp, int lane, uint32_t address) {
  warp.copies->arrivals.push_back({address, lane, warp.copies->issued});
}

void finish_arrivals(Block &block, uint32_t address, void (*arrive)(void *object, uint32_t count), void *object) {
  for (uint32_t w = 0; w < block.warp_count; w++) {
    AsyncCopies &copies = *block.warps[w].copies;
    std::erase_if(copies.arrivals, [&](const AsyncCopies::Arrival &arrival) {
      if (arrival.address != address)
        return false;
      for (AsyncCopies::Record &record : copies.pending)
        if (record.number < arrival.before && record.mask >> arrival.lane & 1)
          commit_copy(block, record, arrival.lane);
      publish_order(block.warps[w], address);
      arrive(object, 1);
      return true;
    });
    std::erase_if(copies.pending, [](const AsyncCopies::Record &record) { return record.mask == 0; });
  }
}

void wait_copies(Warp &warp, uint32_t mask, uint32_t newest_pending, bool everything) {
  AsyncCopies &copies = *warp.copies;
  size_t kept = 0;
  for (size_t i = 0; i < copies.pending.size(); i++) {
    AsyncCopies::Record &record = copies.pending[i];
    for (uint32_t lanes = record.mask & mask; lanes; lanes &= lanes - 1) {
      int lane = std::countr_zero(lanes);
      if (!everything && uint64_t{record.group} + newest_pending >= copies.group[lane])
        continue;
      commit_copy(*warp.block, record, lane);
    }
    if (record.mask) {
      if (kept != i)
        copies.pending[kept] = record;
      kept++;
    }
  }
  copies.pending.resize(kept);
}

uint64_t read_clock(bool nanoseconds) {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  uint64_t ticks = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  return nanoseconds ? ticks : ticks + ticks / 2; // a clock of 1.5 GHz
}

} // namespace tenon::emulator
