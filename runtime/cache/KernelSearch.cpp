// How a kernel is found: the exact target in every tier, the next best in those that are read alone, the compiler, and
// last what the own directory holds for lesser machines.
#include "cache/KernelCacheState.h"

#include "cache/NearestEntries.h"
#include "cache/Recorder.h"
#include "device/Text.h"
#include "tenon/Log.h"

#include <new>
#include <utility>

namespace tenon {
namespace {

// A refusal is the compiler's answer to this key and stays true; anything else may pass.
bool stays(const Error &error) {
  return error.code() == ErrorCode::kCompilation;
}

Result<CompileOutcome> run_builder(KernelBuilder build) {
  try {
    return build();
  } catch (const std::bad_alloc &) {
    return Error(ErrorCode::kOutOfMemory, "compiling a kernel: the memory is exhausted");
  } catch (const std::exception &exception) {
    return Error(ErrorCode::kInternal, concat("compiling a kernel: ", exception.what()));
  }
}

} // namespace

KernelCache::Search::Search(State &state, const KernelKey &key, std::span<const std::string> other_targets)
    : state_(state), key_(key), other_targets_(other_targets) {
  std::shared_lock lock(state.mutex);
  store_ = state.store;
  layers_ = state.layers;
  policy_ = state.settings.policy;
  record_ = state.settings.record;
}

Result<Kernel> KernelCache::Search::make(KernelBuilder build) {
  if (!record_.empty())
    if (const Result<void> recorded = record(record_, key_); !recorded)
      notes_.push_back(recorded.error().message());
  Result<Kernel> kernel = find_or_compile(build);
  state_.note(notes_);
  return kernel;
}

Result<Kernel> KernelCache::Search::find_or_compile(KernelBuilder build) {
  if (Kernel kernel = exact())
    return kernel;
  for (const State::Store &layer : layers_)
    if (Kernel kernel = substitute(*layer))
      return kernel;
  if (policy_ == CachePolicy::kMustHit)
    return last_resort(miss());
  const std::shared_ptr<void> claim = store_ ? store_->claim(key_, notes_) : nullptr;
  if (claim)
    if (Kernel kernel = from(*store_, key_)) // another process may just have made it
      return kernel;
  Result<Kernel> compiled = compile(build);
  if (!compiled && compiled.error().code() == ErrorCode::kUnsupported)
    return last_resort(compiled.error()); // there is no compiler
  return compiled;
}

Kernel KernelCache::Search::exact() {
  Kernel kernel = store_ ? from(*store_, key_) : nullptr;
  for (const State::Store &layer : layers_)
    if (!kernel)
      kernel = from(*layer, key_);
  return kernel;
}

Kernel KernelCache::Search::substitute(KernelStore &store) {
  for (const std::string &target : other_targets_)
    if (Kernel kernel = from(store, key_.for_target(target)))
      return kernel;
  return nullptr;
}

// The own directory may hold what was once made for a lesser machine: only where nothing else is.
Result<Kernel> KernelCache::Search::last_resort(Error otherwise) {
  if (store_)
    if (Kernel kernel = substitute(*store_))
      return kernel;
  return otherwise;
}

Kernel KernelCache::Search::from(KernelStore &store, const KernelKey &key) {
  std::optional<StoredKernel> found = store.look_up(key, notes_);
  if (!found)
    return nullptr;
  std::string choice = concat(key.target(), " from ", found->place);
  if (key.target() != key_.target())
    choice +=
        concat(", the best that this device executes: there is no entry for ", key_.target());
  log(LogEvent::kCache, [&] {
    return concat("found ", key.hash(), " ", found->image.kernel, " for ", choice, ", ",
                  found->bytes, " bytes");
  });
  return std::make_shared<CachedKernel>(key_, std::move(found->image), found->bytes, 0,
                                        std::move(choice), notes_);
}

Error KernelCache::Search::miss() const {
  std::vector<KernelCacheEntry> entries;
  auto add = [&](KernelStore &store) {
    if (Result<std::vector<KernelCacheEntry>> lines = store.list())
      entries.insert(entries.end(), lines->begin(), lines->end());
  };
  if (store_)
    add(*store_);
  for (const State::Store &layer : layers_)
    add(*layer);
  CacheNotes notes = notes_;
  {
    std::shared_lock lock(state_.mutex);
    notes.insert(notes.end(), state_.notes.begin(), state_.notes.end());
  }
  return cache_miss(key_, entries, notes,
                    [this](const KernelCacheEntry &entry) { return graph_of(entry); });
}

// Of an entry that one of the stores listed.
std::string KernelCache::Search::graph_of(const KernelCacheEntry &entry) const {
  std::vector<State::Store> stores = layers_;
  if (store_)
    stores.push_back(store_);
  CacheNotes ignored;
  for (const State::Store &store : stores)
    if (const auto found = store->look_up(key_of(entry), ignored))
      return found->image.graph;
  return {};
}

Result<Kernel> KernelCache::Search::compile(KernelBuilder build) {
  Result<CompileOutcome> outcome = run_builder(build);
  Result<KernelImage> image = outcome ? KernelImage::parse(outcome->bytes) : outcome.error();
  if (!image) {
    log(LogEvent::kCache, [&] {
      return concat("refused ", key_.hash(), " for ", key_.target(), ": ",
                    image.error().message());
    });
    if (stays(image.error()))
      return Kernel(std::make_shared<CachedKernel>(key_, image.error()));
    return image.error();
  }
  image->key = key_.text(); // what a store compares, so that no two keys share an entry
  image->graph = key_.graph();
  std::vector<std::byte> bytes = image->serialize();
  if (store_)
    if (Status published = store_->publish(key_, bytes, {outcome->milliseconds}); !published)
      notes_.push_back(published.error().message());
  log_compiled(key_, image->kernel, outcome->milliseconds, bytes.size());
  return Kernel(std::make_shared<CachedKernel>(key_, std::move(*image), bytes.size(),
                                               outcome->milliseconds, "compiled", notes_));
}

void log_compiled(const KernelKey &key, std::string_view what, double milliseconds, size_t bytes) {
  log(LogEvent::kCache, [&] {
    return concat("compiled ", key.hash(), " ", what, " for ", key.target(), " in ",
                  milliseconds_text(milliseconds), " ms, ", bytes, " bytes");
  });
}

} // namespace tenon
