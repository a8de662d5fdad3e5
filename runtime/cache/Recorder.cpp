#include "cache/Recorder.h"

#include "cache/PrivateDirectory.h"
#include "device/Text.h"

#include <cerrno>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace tenon {

Result<void> record(const std::string &file, const KernelKey &key) {
  using nlohmann::ordered_json;
  const ordered_json line = {
      {"graph", key.graph()},
      {"signature", ordered_json::parse(key.parts().signature, nullptr, false)},
      {"target", key.target()},
      {"options", ordered_json::parse(key.parts().options, nullptr, false)}};
  const std::string text = line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  Descriptor to(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!to.opened() ||
      ::write(to.number(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return file_error(file, "cannot be written", errno);
  return {};
}

} // namespace tenon
