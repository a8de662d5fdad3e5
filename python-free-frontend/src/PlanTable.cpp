#include "Plan.h"

#include <utility>

namespace tenon {

PlanTable::PlanTable() {
  generations_.push_back(std::make_unique<Slots>(64));
  slots_.store(generations_.back().get(), std::memory_order_release);
}

void PlanTable::place(Slots &slots, const Plan *plan) {
  size_t i = plan->hash & slots.mask;
  while (slots.places[i].load(std::memory_order_relaxed))
    i = (i + 1) & slots.mask;
  slots.places[i].store(plan, std::memory_order_release);
}

const Plan *PlanTable::insert(std::unique_ptr<Plan> &plan) {
  std::lock_guard lock(mutex_);
  if (const Plan *known = find(plan->words, plan->hash)) // another thread was faster
    return known;
  if (plans_.size() == kMaxPlans)
    return nullptr;
  plans_.push_back(std::move(plan));
  const Plan *added = plans_.back().get();
  Slots *slots = generations_.back().get();
  if (2 * plans_.size() <= slots->mask) {
    place(*slots, added);
    return added;
  }
  auto larger = std::make_unique<Slots>(4 * (slots->mask + 1));
  for (const std::unique_ptr<Plan> &known : plans_)
    place(*larger, known.get());
  slots_.store(larger.get(), std::memory_order_release);
  generations_.push_back(std::move(larger));
  return added;
}

} // namespace tenon
