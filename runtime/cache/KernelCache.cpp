#include "tenon/KernelCache.h"

#include "cache/NearestEntries.h"
#include "cache/Recorder.h"
#include "device/Text.h"
#include "tenon/DiskStore.h"
#include "tenon/Log.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <new>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

namespace tenon {
namespace {

using Kernel = std::shared_ptr<const CachedKernel>;

constexpr size_t kMaxNotes = 1000;

struct KeyHash {
  size_t operator()(const KernelKey &key) const { return key.hash_low(); }
};

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

// Null, and noted, where the directory cannot be used.
std::shared_ptr<KernelStore> open_tier(const std::string &directory, DiskStoreOptions options,
                                       CacheNotes &notes) {
  Result<std::shared_ptr<DiskStore>> opened = DiskStore::open(directory, std::move(options));
  if (opened)
    return *opened;
  notes.push_back(opened.error().message());
  return nullptr;
}

} // namespace

struct KernelCache::State {
  using Flight = std::shared_future<Result<Kernel>>;
  using Store = std::shared_ptr<KernelStore>;

  mutable std::shared_mutex mutex;
  std::unordered_map<KernelKey, Kernel, KeyHash> entries;
  std::unordered_map<KernelKey, Flight, KeyHash> flights; // kernels that some thread is making now
  Store store;
  std::vector<Store> layers;
  CacheOptions options;
  CacheSettings settings;
  std::vector<std::string> program_layers;
  std::optional<Error> wrong_settings;
  CacheNotes notes;

  void note(const CacheNotes &more);
};

// Each once, and logged: a directory that others can write is met by every kernel.
void KernelCache::State::note(const CacheNotes &more) {
  for (const std::string &line : more) {
    {
      std::lock_guard lock(mutex);
      if (notes.size() >= kMaxNotes || std::ranges::find(notes, line) != notes.end())
        continue;
      notes.push_back(line);
    }
    log(LogEvent::kCache, [&] { return line; });
  }
}

// One kernel on its way into the memory, without the lock: others are looked up and made meanwhile.
class KernelCache::Search {
public:
  Search(State &state, const KernelKey &key, std::span<const std::string> other_targets)
      : state_(state), key_(key), other_targets_(other_targets) {
    std::shared_lock lock(state.mutex);
    store_ = state.store;
    layers_ = state.layers;
    policy_ = state.settings.policy;
    record_ = state.settings.record;
  }

  Result<Kernel> make(KernelBuilder build) {
    if (!record_.empty())
      if (const Result<void> recorded = record(record_, key_); !recorded)
        notes_.push_back(recorded.error().message());
    Result<Kernel> kernel = find_or_compile(build);
    state_.note(notes_);
    return kernel;
  }

private:
  Result<Kernel> find_or_compile(KernelBuilder build) {
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

  Kernel exact() {
    Kernel kernel = store_ ? from(*store_, key_) : nullptr;
    for (const State::Store &layer : layers_)
      if (!kernel)
        kernel = from(*layer, key_);
    return kernel;
  }
  Kernel substitute(KernelStore &store) {
    for (const std::string &target : other_targets_)
      if (Kernel kernel = from(store, key_.for_target(target)))
        return kernel;
    return nullptr;
  }
  // The own directory may hold what was once made for a lesser machine: only where nothing else is.
  Result<Kernel> last_resort(Error otherwise) {
    if (store_)
      if (Kernel kernel = substitute(*store_))
        return kernel;
    return otherwise;
  }

  Kernel from(KernelStore &store, const KernelKey &key) {
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

  Error miss() const {
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
  std::string graph_of(const KernelCacheEntry &entry) const {
    std::vector<State::Store> stores = layers_;
    if (store_)
      stores.push_back(store_);
    CacheNotes ignored;
    for (const State::Store &store : stores)
      if (const auto found = store->look_up(key_of(entry), ignored))
        return found->image.graph;
    return {};
  }

  Result<Kernel> compile(KernelBuilder build) {
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
    log(LogEvent::kCache, [&] {
      return concat("compiled ", key_.hash(), " ", image->kernel, " for ", key_.target(), " in ",
                    milliseconds_text(outcome->milliseconds), " ms, ", bytes.size(), " bytes");
    });
    return Kernel(std::make_shared<CachedKernel>(key_, std::move(*image), bytes.size(),
                                                 outcome->milliseconds, "compiled", notes_));
  }

  State &state_;
  const KernelKey &key_;
  std::span<const std::string> other_targets_;
  State::Store store_;
  std::vector<State::Store> layers_;
  CachePolicy policy_ = CachePolicy::kCompile;
  std::string record_;
  CacheNotes notes_;
};

KernelCache::KernelCache() : state_(std::make_unique<State>()) {}
KernelCache::~KernelCache() = default;

KernelCache &KernelCache::process() {
  static KernelCache *cache = [] {
    auto *made = new KernelCache; // threads may use it while the process ends
    if (Status configured = made->configure({}); !configured)
      made->state_->wrong_settings = configured.error();
    return made;
  }();
  return *cache;
}

Kernel KernelCache::lookup(const KernelKey &key) const {
  std::shared_lock lock(state_->mutex);
  auto found = state_->entries.find(key);
  if (found == state_->entries.end())
    return nullptr;
  found->second->hits_.fetch_add(1, std::memory_order_relaxed);
  return found->second;
}

Result<Kernel> KernelCache::lookup_or_compile(const KernelKey &key, KernelBuilder build,
                                              std::span<const std::string> other_targets) {
  auto kernel_or_refusal = [](Kernel kernel) -> Result<Kernel> {
    if (kernel->refusal())
      return *kernel->refusal();
    return kernel;
  };
  if (Kernel kernel = lookup(key))
    return kernel_or_refusal(std::move(kernel));

  std::promise<Result<Kernel>> promise;
  State::Flight flight;
  bool mine = false;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->wrong_settings)
      return *state_->wrong_settings;
    if (auto found = state_->entries.find(key); found != state_->entries.end())
      return kernel_or_refusal(found->second);
    auto [position, inserted] = state_->flights.try_emplace(key);
    mine = inserted;
    if (mine)
      position->second = promise.get_future().share();
    flight = position->second;
  }
  if (mine) {
    Result<Kernel> made = Search(*state_, key, other_targets).make(build);
    {
      std::lock_guard lock(state_->mutex);
      if (made)
        state_->entries.insert_or_assign(key, *made);
      state_->flights.erase(key);
    }
    promise.set_value(std::move(made));
  }
  const Result<Kernel> &made = flight.get();
  return made ? kernel_or_refusal(*made) : made;
}

std::vector<KernelCacheEntry> KernelCache::list() const {
  std::vector<KernelCacheEntry> lines;
  std::shared_lock lock(state_->mutex);
  for (const auto &[key, kernel] : state_->entries)
    lines.push_back({key.text(), key.hash(), kernel->image().kernel, kernel->bytes(),
                     kernel->hits(), kernel->compile_milliseconds(),
                     kernel->refusal() ? kernel->refusal()->message() : std::string(), "", 0});
  std::ranges::sort(lines, {}, &KernelCacheEntry::key);
  return lines;
}

void KernelCache::clear() {
  std::unordered_map<KernelKey, Kernel, KeyHash> gone; // destroyed without the lock
  std::lock_guard lock(state_->mutex);
  gone.swap(state_->entries);
}

Status KernelCache::configure(const CacheOptions &options) {
  TENON_ASSIGN_OR_RETURN(CacheSettings settings, resolve(options));
  PublicKeys signers;
  for (const std::string &file : settings.public_keys) {
    TENON_ASSIGN_OR_RETURN(PublicKey key, read_public_key(file));
    signers.push_back(std::move(key));
  }
  CacheNotes notes;
  State::Store store;
  if (settings.disk != DiskUse::kOff && settings.directory.empty())
    notes.push_back("no directory for kernels: neither XDG_CACHE_HOME nor HOME is set");
  else if (settings.disk != DiskUse::kOff)
    store = open_tier(settings.directory,
                      {.lower_layer = false,
                       .read_only = settings.disk == DiskUse::kReadOnly,
                       .max_bytes = settings.max_bytes,
                       .max_days = settings.max_days,
                       .signers = signers,
                       .signing_key = settings.signing_key},
                      notes);
  std::vector<std::string> paths = settings.path;
  {
    std::shared_lock lock(state_->mutex);
    paths.insert(paths.end(), state_->program_layers.begin(), state_->program_layers.end());
  }
  std::vector<State::Store> layers;
  for (const std::string &path : paths)
    if (State::Store layer = open_tier(path, {.lower_layer = true, .signers = signers}, notes))
      layers.push_back(std::move(layer));
  {
    std::lock_guard lock(state_->mutex);
    state_->store = std::move(store);
    state_->layers = std::move(layers);
    state_->options = options;
    state_->settings = std::move(settings);
    state_->wrong_settings.reset();
  }
  state_->note(notes);
  return {};
}

Status KernelCache::add_layer(const std::string &directory) {
  CacheOptions options;
  {
    std::lock_guard lock(state_->mutex);
    state_->program_layers.push_back(directory);
    options = state_->options;
  }
  return configure(options);
}

bool add_kernels_beside_program(const char *folder) {
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  KernelCache &cache = KernelCache::process();
  return cache.add_layer((program.parent_path() / folder).string()).ok();
}

CacheSettings KernelCache::settings() const {
  std::shared_lock lock(state_->mutex);
  return state_->settings;
}

CacheNotes KernelCache::notes() const {
  std::shared_lock lock(state_->mutex);
  return state_->notes;
}

void KernelCache::set_policy(CachePolicy policy) {
  std::lock_guard lock(state_->mutex);
  state_->settings.policy = policy;
}

void KernelCache::set_layers(std::vector<std::shared_ptr<KernelStore>> layers) {
  std::lock_guard lock(state_->mutex);
  state_->layers = std::move(layers);
}

std::vector<std::shared_ptr<KernelStore>> KernelCache::layers() const {
  std::shared_lock lock(state_->mutex);
  return state_->layers;
}

void KernelCache::set_store(std::shared_ptr<KernelStore> store) {
  std::lock_guard lock(state_->mutex);
  state_->store = std::move(store);
}

std::shared_ptr<KernelStore> KernelCache::store() const {
  std::shared_lock lock(state_->mutex);
  return state_->store;
}

} // namespace tenon
