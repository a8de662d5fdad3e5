#include "Cache.h"

#include "tenon/DiskStore.h"
#include "tenon/KernelCache.h"

#include <ctime>
#include <memory>

namespace tenon::command {
namespace {

constexpr const char *kFooter =
    R"(Without --dir the directory of the settings is meant (`tenon cache info`).

Examples:
  tenon cache info
  tenon cache build manifest.json --target sm_80 --target host:x86-64-v3 -o kernels
  tenon cache list --dir kernels --json
  tenon cache show 3f2a --code
  tenon cache prune --max-bytes 500M --max-days 30)";

struct Options {
  std::string directory, prefix, max_bytes, key;
  std::optional<uint32_t> max_days;
  std::vector<std::string> public_keys;
  bool json = false, code = false;
};

std::string time_text(int64_t seconds) {
  const auto when = static_cast<time_t>(seconds);
  struct tm parts = {};
  char text[32] = {};
  localtime_r(&when, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

Result<std::shared_ptr<DiskStore>> open_directory(const Options &options, bool changed) {
  const CacheSettings settings = KernelCache::process().settings();
  const std::string directory = options.directory.empty() ? settings.directory : options.directory;
  if (directory.empty())
    return Error::invalid_argument("--dir", "none", "a directory: there is no home directory");
  PublicKeys signers;
  for (const std::string &file :
       options.public_keys.empty() ? settings.public_keys : options.public_keys) {
    TENON_ASSIGN_OR_RETURN(PublicKey key, read_public_key(file));
    signers.push_back(std::move(key));
  }
  return DiskStore::open(directory, {.lower_layer = !changed,
                                     .max_bytes = settings.max_bytes,
                                     .max_days = settings.max_days,
                                     .signers = std::move(signers)});
}

Json to_json(const KernelCacheEntry &entry) {
  Json line = {{"hash", entry.hash},
               {"kernel", entry.kernel},
               {"target", key_part(entry.key, "target")},
               {"code_generation", key_part(entry.key, "code generation")},
               {"bytes", entry.bytes},
               {"compile_milliseconds", entry.compile_milliseconds},
               {"last_used", entry.last_used},
               {"key", entry.key}};
  if (!entry.refusal.empty())
    line["damage"] = entry.refusal;
  return line;
}

Result<void> list(const Options &options) {
  Result<std::shared_ptr<DiskStore>> store = open_directory(options, false);
  std::vector<KernelCacheEntry> entries;
  if (store) {
    TENON_ASSIGN_OR_RETURN(entries, (*store)->list());
  } else if (!options.directory.empty() || store.error().code() != ErrorCode::kNotFound) {
    return store.error(); // that of the settings is empty until something is kept
  }
  Json lines = Json::array();
  std::string text;
  uint64_t bytes = 0;
  for (const KernelCacheEntry &entry : entries) {
    bytes += entry.bytes;
    if (options.json)
      lines.push_back(to_json(entry));
    else
      text += entry.hash + "  " + label(key_part(entry.key, "target"), 20) + " code " +
              std::string(key_part(entry.key, "code generation")) + "  " +
              time_text(entry.last_used) + "  " + std::to_string(entry.bytes) + " bytes  " +
              (entry.refusal.empty() ? entry.kernel : "damaged: " + entry.refusal) + "\n";
  }
  if (options.json)
    return print_json(lines);
  return print(text + std::to_string(entries.size()) + " kernels, " + std::to_string(bytes) +
               " bytes\n");
}

std::string text_of(const ImageSection &section) {
  if (section.kind == SectionKind::kPtx)
    return {reinterpret_cast<const char *>(section.bytes.data()), section.bytes.size()};
  return disassemble(section);
}

Result<void> show(const Options &options) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<DiskStore> store, open_directory(options, false));
  TENON_ASSIGN_OR_RETURN(const StoredKernel found, store->show(options.prefix));
  const KernelImage &image = found.image;
  const std::string hash = KernelKey::hash_of(image.key);
  Json object = {{"hash", hash},
                 {"kernel", image.kernel},
                 {"bytes", found.bytes},
                 {"key", image.key},
                 {"graph", image.graph},
                 {"schedule", image.schedule},
                 {"few_schedule", image.few_schedule},
                 {"made", Json::parse(store->provenance(hash))}};
  for (const ImageSection &section : image.sections) {
    constexpr const char *kKinds[] = {"host_code", "ptx", "cubin"};
    object["sections"].push_back({{"kind", kKinds[static_cast<size_t>(section.kind)]},
                                  {"target", section.target},
                                  {"bytes", section.bytes.size()}});
    if (options.code)
      object["sections"].back()["text"] = text_of(section);
  }
  if (options.json)
    return print_json(object);
  std::string text = label(hash, 0) + "\n" + label("kernel", 10) + image.kernel + "\n" +
                     label("schedule", 10) + image.schedule + "\n" +
                     (image.few_schedule.empty() ? "" : label("", 10) + image.few_schedule + "\n") + label("made", 10) +
                     object["made"].dump() + "\n" + image.key + image.graph;
  for (const Json &section : object["sections"]) {
    text += label("section", 10) + section["kind"].get<std::string>() + " for " +
            section["target"].get<std::string>() + ", " + section["bytes"].dump() + " bytes\n";
    if (options.code)
      text += section["text"].get<std::string>();
  }
  return print(text);
}

Result<void> verify(const Options &options) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<DiskStore> store, open_directory(options, false));
  TENON_ASSIGN_OR_RETURN(const std::vector<DiskStore::Damage> damages, store->verify());
  TENON_ASSIGN_OR_RETURN(const std::vector<KernelCacheEntry> entries, store->list());
  Json object = {{"entries", entries.size()}, {"damaged", Json::array()}};
  std::string text;
  for (const DiskStore::Damage &damage : damages) {
    object["damaged"].push_back({{"name", damage.name}, {"reason", damage.reason}});
    text += damage.name + ": " + damage.reason + "\n";
  }
  text +=
      std::to_string(entries.size()) + " entries, " + std::to_string(damages.size()) + " damaged\n";
  TENON_TRY(options.json ? print_json(object) : print(text));
  if (damages.empty())
    return {};
  return Error(ErrorCode::kCorruptFile, std::to_string(damages.size()) + " entries are damaged");
}

Result<void> report_removed(const Options &options, const char *what, uint64_t count) {
  if (options.json)
    return print_json({{what, count}});
  return print(std::to_string(count) + " " + what + " removed\n");
}

Result<void> prune(const Options &options) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<DiskStore> store, open_directory(options, true));
  const CacheSettings settings = KernelCache::process().settings();
  uint64_t bytes = settings.max_bytes;
  if (!options.max_bytes.empty()) {
    TENON_ASSIGN_OR_RETURN(bytes, parse_bytes(options.max_bytes, "--max-bytes"));
  }
  TENON_ASSIGN_OR_RETURN(const uint64_t gone,
                         store->prune(bytes, options.max_days.value_or(settings.max_days)));
  return report_removed(options, "bytes", gone);
}

Result<void> clear(const Options &options) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<DiskStore> store, open_directory(options, true));
  TENON_ASSIGN_OR_RETURN(const uint64_t gone, store->clear());
  return report_removed(options, "entries", gone);
}

Result<void> info(const Options &options) {
  KernelCache &cache = KernelCache::process();
  Json object = Json::object();
  std::string text;
  for (const CacheSettings::Line &line : cache.settings().lines) {
    object[line.setting] = {{"value", line.value}, {"decided_by", line.decided_by}};
    text += label(line.setting, 13) + (line.value.empty() ? "-" : line.value) + "  (" +
            line.decided_by + ")\n";
  }
  object["code_generation"] = kCodeGenerationVersion;
  object["image_format"] = KernelImage::kFormatVersion;
  text += label("code", 13) + "generation " + std::to_string(kCodeGenerationVersion) +
          ", image format " + std::to_string(KernelImage::kFormatVersion) + "\n";
  std::vector<std::shared_ptr<KernelStore>> tiers = cache.layers();
  if (cache.store())
    tiers.insert(tiers.begin(), cache.store());
  for (const std::shared_ptr<KernelStore> &tier : tiers) {
    TENON_ASSIGN_OR_RETURN(const std::vector<KernelCacheEntry> entries, tier->list());
    uint64_t bytes = 0;
    for (const KernelCacheEntry &entry : entries)
      bytes += entry.bytes;
    object["tiers"].push_back(
        {{"place", tier->place()}, {"entries", entries.size()}, {"bytes", bytes}});
    text += label("tier", 13) + tier->place() + ": " + std::to_string(entries.size()) +
            " kernels, " + std::to_string(bytes) + " bytes\n";
  }
  return options.json ? print_json(object) : print(text);
}

Result<void> sign(const Options &options) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<DiskStore> store, open_directory(options, true));
  TENON_ASSIGN_OR_RETURN(const uint64_t count, store->sign(options.key));
  return options.json ? print_json({{"signed", count}})
                      : print(std::to_string(count) + " entries signed\n");
}

Result<void> keygen(const Options &options) {
  TENON_TRY(make_signing_key(options.key));
  return print(options.key + " is secret; give away " + options.key + ".public\n");
}

struct Verb {
  const char *name, *text, *examples;
  Result<void> (*run)(const Options &);
  void (*declare)(CLI::App &, Options &);
};

void no_more(CLI::App &, Options &) {}
void declare_show(CLI::App &app, Options &options) {
  app.add_option("hash", options.prefix, "the first digits of an entry's hash")->required();
  app.add_flag("--code", options.code, "prints PTX, and disassembles machine code");
}
void declare_verify(CLI::App &app, Options &options) {
  app.add_option("--public-key", options.public_keys, "requires signatures by this key")
      ->type_name("FILE");
}
void declare_prune(CLI::App &app, Options &options) {
  app.add_option("--max-bytes", options.max_bytes, "what may stay: 500M");
  app.add_option("--max-days", options.max_days, "what was not used for longer goes");
}
void declare_key(CLI::App &app, Options &options) {
  app.add_option("--key", options.key, "the secret key's file")->required()->type_name("FILE");
}

constexpr Verb kVerbs[] = {
    {"list", "Every kernel in the directory",
     "  tenon cache list\n  tenon cache list --dir kernels --json", list, no_more},
    {"show", "One kernel: its key, how it was made, its code",
     "  tenon cache show 3f2a\n  tenon cache show 3f2a --code --dir kernels", show, declare_show},
    {"verify", "Reads every entry whole; fails where one is damaged",
     "  tenon cache verify --dir kernels\n  tenon cache verify --dir kernels --public-key release.key.public",
     verify, declare_verify},
    {"prune", "Removes what is too much or too old, but nothing in use",
     "  tenon cache prune --max-bytes 500M --max-days 30", prune, declare_prune},
    {"clear", "Removes every kernel that is not in use",
     "  tenon cache clear\n  tenon cache clear --dir kernels", clear, no_more},
    {"info", "The settings, and what decided each",
     "  tenon cache info\n  TENON_CACHE_DIR=kernels tenon cache info --json", info, no_more},
    {"sign", "Signs every entry (Ed25519)", "  tenon cache sign --key release.key --dir kernels", sign,
     declare_key},
    {"keygen", "Makes a pair of keys to sign with", "  tenon cache keygen --key release.key", keygen,
     declare_key},
};

} // namespace

void add_cache(CLI::App &app, Action &action) {
  CLI::App *cache = app.add_subcommand("cache", "Kernels on disk: built ahead, listed, bounded");
  cache->footer(kFooter);
  cache->require_subcommand(1);
  add_cache_build(*cache, action);
  add_cache_record(*cache, action);
  for (const Verb &verb : kVerbs) {
    auto options = std::make_shared<Options>();
    CLI::App *command = cache->add_subcommand(verb.name, verb.text);
    command->footer("Examples:\n" + std::string(verb.examples));
    if (verb.run != keygen) { // it makes two files, and no more
      command->add_option("--dir", options->directory, "instead of the settings' directory")
          ->type_name("DIR");
      command->add_flag("--json", options->json, "JSON on stdout");
    }
    verb.declare(*command, *options);
    auto run = verb.run;
    command->callback([options, run, &action] { action = [=] { return run(*options); }; });
  }
}

} // namespace tenon::command
