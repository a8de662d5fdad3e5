#include "decode/Decoder.h"
#include <algorithm>
#include <bit>
#include <cstring>

namespace tenon::emulator {
namespace {

class Bits {
public:
  explicit Bits(size_t size = 0) : words_((size + 63) / 64) {}
  bool test(size_t i) const { return words_[i / 64] >> (i % 64) & 1; }
  void set(size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  void reset(size_t i) { words_[i / 64] &= ~(uint64_t{1} << (i % 64)); }
  void clear() { std::fill(words_.begin(), words_.end(), 0); }
  bool merge(const Bits &other) {
    uint64_t changed = 0;
    for (size_t i = 0; i < words_.size(); i++) {
      changed |= other.words_[i] & ~words_[i];
      words_[i] |= other.words_[i];
    }
    return changed != 0;
  }
  template <class Body> void for_each(Body body) const {
    for (size_t i = 0; i < words_.size(); i++)
      for (uint64_t word = words_[i]; word; word &= word - 1)
        body(i * 64 + static_cast<size_t>(std::countr_zero(word)));
  }
  std::vector<uint64_t> words_;
};

/// Bytes that 32 lanes of a register take; a predicate is one mask.
uint32_t storage(uint8_t width) { return width == 0 ? 4 : std::max<uint32_t>(width * kLanes, 64); }

class Layout {
public:
  Layout(Program &program, std::span<const Slot> slots, std::span<const SlotUse> uses, std::vector<uint32_t> &more_at,
         const std::vector<bool> &more_are_targets)
      : program_(program), code_(program.functions.front()), slots_(slots), more_at_(more_at), more_are_targets_(more_are_targets),
        uses_of_(program.ops.size()) {
    for (const SlotUse &use : uses)
      uses_of_[use.op].push_back(use);
  }

  void run(const Executor &executor) {
    find_successors();
    find_liveness();
    find_copies();
    colour();
    place();
    insert_checks(executor);
    finish();
  }

private:
  bool is_row(size_t op, std::string_view form) const {
    return program_.rows[op] >= 0 && opcode_row(program_.rows[op]).operands == form;
  }
  bool ends_thread(size_t op) const {
    if (program_.rows[op] < 0)
      return false;
    std::string_view spelling = opcode_row(program_.rows[op]).spelling;
    return spelling == "exit" || spelling == "trap" || spelling.starts_with("ret");
  }

  void find_successors() {
    size_t count = program_.ops.size();
    successors_.resize(count);
    leads_.assign(count + 1, false);
    leads_[0] = true;
    for (size_t i = 0; i < count; i++) {
      const Op &op = program_.ops[i];
      bool guarded = op.guard != kNoSlot, branches = is_row(i, "@branch"), indexed = is_row(i, "@branch_indexed");
      if (branches)
        successors_[i].push_back(op.target);
      for (uint32_t t = 0; indexed && t < op.count; t++)
        successors_[i].push_back(program_.more[more_at_[i] + t]);
      if ((guarded || (!branches && !indexed && !ends_thread(i))) && i + 1 < count)
        successors_[i].push_back(static_cast<uint32_t>(i + 1));
      for (uint32_t successor : successors_[i])
        if (branches || indexed)
          leads_[successor] = true;
      if (branches || indexed || ends_thread(i))
        leads_[i + 1] = true;
    }
  }

  /// Backward over one operation: what is live before it, given what is live after.
  void step_back(size_t op, Bits &live) const {
    if (program_.ops[op].guard == kNoSlot) // a guarded write leaves other lanes' values alone
      for (const SlotUse &use : uses_of_[op])
        if (use.writes)
          live.reset(use.slot);
    for (const SlotUse &use : uses_of_[op])
      if (!use.writes)
        live.set(use.slot);
  }

  void find_liveness() {
    for (size_t i = 0; i < program_.ops.size(); i++)
      if (leads_[i])
        blocks_.push_back(static_cast<uint32_t>(i));
    block_of_.assign(program_.ops.size(), 0);
    for (size_t b = 0; b < blocks_.size(); b++)
      for (size_t i = blocks_[b]; i < end_of(b); i++)
        block_of_[i] = static_cast<uint32_t>(b);
    live_in_.assign(blocks_.size(), Bits(slots_.size()));
    live_out_.assign(blocks_.size(), Bits(slots_.size()));
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t b = blocks_.size(); b-- > 0;) {
        for (uint32_t successor : successors_[end_of(b) - 1])
          changed |= live_out_[b].merge(live_in_[block_of_[successor]]);
        Bits live = live_out_[b];
        for (size_t i = end_of(b); i-- > blocks_[b];)
          step_back(i, live);
        changed |= live_in_[b].merge(live);
      }
    }
  }
  size_t end_of(size_t block) const { return block + 1 < blocks_.size() ? blocks_[block + 1] : program_.ops.size(); }

  bool may_copy(size_t op, std::string_view form) const { return is_row(op, form) && program_.ops[op].target != 0; }
  /// Which elements of a load or store are `slot`.
  uint32_t elements_of(size_t op, uint32_t slot) const {
    uint32_t elements = 0;
    for (uint32_t i = 0; i < program_.ops[op].count; i++)
      elements |= static_cast<uint32_t>(program_.ops[op].operand[1 + i] == slot) << i;
    return elements;
  }

  /// A register that one load writes and that stores of that width alone read is a copy: of local memory it carries bytes
  /// nobody wrote along, as whoever copies a structure with holes must. Op::flags become the elements that are such registers.
  void find_copies() {
    std::vector<uint32_t> load_of(slots_.size(), kNoSlot);
    std::vector<bool> computes(slots_.size()), stored(slots_.size());
    for (size_t i = 0; i < program_.ops.size(); i++)
      for (const SlotUse &use : uses_of_[i]) {
        const Op &op = program_.ops[i];
        const bool loads = use.writes && may_copy(i, "@load") && load_of[use.slot] == kNoSlot && op.operand[0] != use.slot;
        const bool stores = !use.writes && may_copy(i, "@store") && op.operand[0] != use.slot && op.guard != use.slot;
        if (loads)
          load_of[use.slot] = static_cast<uint32_t>(i);
        else if (stores)
          stored[use.slot] = true;
        else
          computes[use.slot] = true;
      }
    auto is_copy = [&](uint32_t slot) { return load_of[slot] != kNoSlot && stored[slot] && !computes[slot]; };
    for (size_t i = 0; i < program_.ops.size(); i++)
      if (may_copy(i, "@store"))
        for (const SlotUse &use : uses_of_[i])
          if (is_copy(use.slot) && program_.ops[load_of[use.slot]].target != program_.ops[i].target)
            computes[use.slot] = true;
    for (size_t i = 0; i < program_.ops.size(); i++) { // what one load writes is copied together, or checked together
      bool all = may_copy(i, "@load");
      for (const SlotUse &use : uses_of_[i])
        all = all && (!use.writes || is_copy(use.slot));
      for (const SlotUse &use : uses_of_[i])
        computes[use.slot] = computes[use.slot] || (may_copy(i, "@load") && use.writes && !all);
    }
    for (size_t i = 0; i < program_.ops.size(); i++) {
      if (!may_copy(i, "@load") && !may_copy(i, "@store"))
        continue;
      for (const SlotUse &use : uses_of_[i])
        if (use.writes == is_row(i, "@load") && is_copy(use.slot))
          program_.ops[i].flags |= static_cast<uint8_t>(elements_of(i, use.slot));
      copies_ |= program_.ops[i].flags != 0;
      program_.ops[i].target = 0;
    }
  }

  /// Colours the graph of registers that are live together; only registers of one width share a place.
  void colour() {
    std::vector<std::vector<uint32_t>> neighbours(slots_.size());
    auto join = [&](uint32_t a, uint32_t b) {
      if (a != b && slots_[a].width == slots_[b].width) {
        neighbours[a].push_back(b);
        neighbours[b].push_back(a);
      }
    };
    std::vector<uint32_t> order;
    std::vector<bool> seen(slots_.size());
    for (size_t b = 0; b < blocks_.size(); b++) {
      Bits live = live_out_[b];
      for (size_t i = end_of(b); i-- > blocks_[b];) {
        for (const SlotUse &use : uses_of_[i]) {
          if (!use.writes)
            continue;
          live.for_each([&](size_t other) { join(use.slot, static_cast<uint32_t>(other)); });
          for (const SlotUse &other : uses_of_[i])
            if (other.writes)
              join(use.slot, other.slot);
          // Before the operation: a guarded write must not fall on a source that another lane still needs.
        }
        step_back(i, live);
      }
    }
    // What is live on entry was never written there, yet must not share a place either.
    std::vector<uint32_t> entry;
    live_in_[0].for_each([&](size_t slot) { entry.push_back(static_cast<uint32_t>(slot)); });
    for (uint32_t a : entry)
      for (uint32_t b : entry)
        if (a < b)
          join(a, b);
    for (size_t i = 0; i < program_.ops.size(); i++)
      for (const SlotUse &use : uses_of_[i])
        if (!seen[use.slot]) {
          seen[use.slot] = true;
          order.push_back(use.slot);
        }
    colours_.assign(slots_.size(), kNoSlot);
    std::vector<uint32_t> taken;
    for (uint32_t slot : order) {
      taken.assign(neighbours[slot].size() + 1, 0);
      for (uint32_t other : neighbours[slot])
        if (colours_[other] < taken.size())
          taken[colours_[other]] = 1;
      colours_[slot] = static_cast<uint32_t>(std::find(taken.begin(), taken.end(), 0) - taken.begin());
    }
  }

  void place() {
    uint32_t counts[9] = {};
    for (size_t slot = 0; slot < slots_.size(); slot++)
      if (colours_[slot] != kNoSlot)
        counts[slots_[slot].width] = std::max(counts[slots_[slot].width], colours_[slot] + 1);
    uint32_t starts[9] = {}, end = 0;
    for (uint8_t width : {8, 4, 2, 1, 0}) {
      starts[width] = end;
      end += counts[width] * storage(width);
      end = (end + 63) & ~63u;
    }
    if (copies_) { // behind the registers, the states of their bytes
      for (size_t i = 0; i < program_.ops.size(); i++)
        if (Op &op = program_.ops[i]; op.flags && (is_row(i, "@load") || is_row(i, "@store")))
          op.target = end;
      end *= 2;
    }
    program_.register_count = counts[8] * 2 + counts[4] + counts[2] + counts[1];
    offsets_.assign(slots_.size(), kNoSlot);
    for (size_t slot = 0; slot < slots_.size(); slot++) {
      const Slot &s = slots_[slot];
      if (colours_[slot] != kNoSlot) {
        offsets_[slot] = starts[s.width] + colours_[slot] * storage(s.width);
        continue;
      }
      if (s.kind == Slot::Kind::kRegister || s.kind == Slot::Kind::kCarry)
        continue;
      end = s.width ? (end + 63) & ~63u : end;
      offsets_[slot] = end;
      end += storage(s.width);
      if (s.kind != Slot::Kind::kSpecial)
        code_.constants.push_back({s.bits, s.width, offsets_[slot], s.kind == Slot::Kind::kFrameAddress});
      else
        code_.specials.push_back({s.special, s.width, offsets_[slot]});
    }
    code_.register_bytes = end;
  }

  /// A register that a path reads unwritten gets a mask of the lanes that wrote it, and a check before each read.
  void insert_checks(const Executor &executor) {
    std::vector<uint32_t> mask_of(slots_.size(), kNoSlot);
    live_in_[0].for_each([&](size_t slot) {
      mask_of[slot] = code_.register_bytes;
      code_.written_masks.push_back(code_.register_bytes);
      program_.suspect_registers.push_back(slots_[slot].name);
      code_.register_bytes += 4;
    });
    if (code_.written_masks.empty())
      return;
    std::vector<Op> ops;
    std::vector<int16_t> rows;
    std::vector<uint32_t> more_at, moved(program_.ops.size());
    std::vector<bool> targets;
    auto add = [&](Op op, int16_t row, uint32_t more, bool is_target) {
      ops.push_back(op);
      rows.push_back(row);
      more_at.push_back(more);
      targets.push_back(is_target);
    };
    for (size_t i = 0; i < program_.ops.size(); i++) {
      moved[i] = static_cast<uint32_t>(ops.size());
      const Op &op = program_.ops[i];
      for (int pass = 0; pass < 2; pass++)
        for (const SlotUse &use : uses_of_[i]) {
          if (use.writes != (pass == 1) || mask_of[use.slot] == kNoSlot)
            continue;
          Op check;
          check.handler = pass ? executor.mark_written : executor.check_written;
          check.instruction = op.instruction;
          check.operand[0] = mask_of[use.slot];
          check.flags = kPseudo;
          check.immediate = static_cast<int64_t>(
              std::find(code_.written_masks.begin(), code_.written_masks.end(), mask_of[use.slot]) -
              code_.written_masks.begin());
          if (use.slot != op.guard) {
            check.guard = op.guard;
            check.guard_flip = op.guard_flip;
          }
          add(check, -1, kNoSlot, false);
        }
      add(op, program_.rows[i], more_at_[i], more_are_targets_[i]);
    }
    for (size_t i = 0; i < ops.size(); i++) {
      if (rows[i] < 0)
        continue;
      ops[i].target = opcode_row(rows[i]).operands == "@branch" ? moved[ops[i].target] : ops[i].target;
      if (targets[i])
        for (uint32_t t = 0; t < ops[i].count; t++)
          program_.more[more_at[i] + t] = moved[program_.more[more_at[i] + t]];
    }
    program_.ops = std::move(ops);
    program_.rows = std::move(rows);
    more_at_ = std::move(more_at);
    targets_ = std::move(targets);
  }

  void finish() {
    const std::vector<bool> &targets = targets_.empty() ? more_are_targets_ : targets_;
    auto move = [&](uint32_t &slot) { slot = slot == kNoSlot ? kNoSlot : offsets_[slot]; };
    std::vector<uint32_t> more = program_.more;
    for (size_t i = 0; i < program_.ops.size(); i++) {
      Op &op = program_.ops[i];
      move(op.guard);
      if (program_.rows[i] >= 0)
        for (uint32_t &operand : op.operand)
          move(operand);
      if (more_at_[i] != kNoSlot)
        op.more = program_.more.data() + more_at_[i];
    }
    for (size_t i = 0; i < program_.ops.size(); i++) {
      if (more_at_[i] == kNoSlot || targets[i])
        continue;
      size_t end = more.size();
      for (size_t j = i + 1; j < program_.ops.size(); j++)
        if (more_at_[j] != kNoSlot) {
          end = more_at_[j];
          break;
        }
      for (size_t m = more_at_[i]; m < end; m++)
        move(program_.more[m]);
    }
    code_.register_bytes = (code_.register_bytes + 63) & ~63u;
  }

  Program &program_;
  FunctionCode &code_;
  std::span<const Slot> slots_;
  std::vector<uint32_t> &more_at_;
  const std::vector<bool> &more_are_targets_;
  std::vector<bool> targets_;
  std::vector<std::vector<SlotUse>> uses_of_;
  std::vector<std::vector<uint32_t>> successors_;
  std::vector<bool> leads_;
  bool copies_ = false;
  std::vector<uint32_t> blocks_, block_of_;
  std::vector<Bits> live_in_, live_out_;
  std::vector<uint32_t> colours_, offsets_;
};

} // namespace

void lay_out_registers(Program &program, std::span<const Slot> slots, std::span<const SlotUse> uses,
                       std::vector<uint32_t> &more_at, const std::vector<bool> &more_are_targets,
                       const Executor &executor) {
  Layout(program, slots, uses, more_at, more_are_targets).run(executor);
}

} // namespace tenon::emulator
