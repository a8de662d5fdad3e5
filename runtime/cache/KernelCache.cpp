#include "cache/KernelCacheState.h"

#include "tenon/DiskStore.h"
#include "tenon/Log.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace tenon {
namespace {

constexpr size_t kMaxNotes = 1000;

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
