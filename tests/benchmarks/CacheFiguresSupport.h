/// Folders, children and entries for cache_figures.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>

namespace tenon::figures {

using Json = nlohmann::json;

class Folder {
public:
  Folder();
  ~Folder();
  std::string path(const std::string &name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

void write(const std::string &path, const std::string &text);
std::string output_of(const std::string &command);
double processor_seconds_of_children(); ///< that have ended

/// This program started again with a mode, a cache directory and a length; it prints JSON.
class Child {
public:
  Child(const std::string &mode, const std::string &directory, const std::string &length);
  Child(Child &&other) noexcept;
  ~Child();
  Json report(); ///< waits for it

private:
  pid_t process_ = -1;
  int output_ = -1;
};
int child(const std::string &mode, const std::string &directory, const std::string &length);

void put_entry(const std::string &directory, int number);
double look_up_microseconds(const std::string &directory, int count);
double list_milliseconds(const std::string &directory);

} // namespace tenon::figures
