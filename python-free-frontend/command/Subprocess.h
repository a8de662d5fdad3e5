/// Other programs: found, run, their words kept.
#pragma once

#include <string>
#include <vector>

namespace tenon::command {

/// A folder of its own for the length of a run.
class Scratch {
public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  const std::string &path() const { return path_; } ///< "" where none can be made

private:
  std::string path_;
};

/// The path of a program: on PATH, or among CUDA's; "" where it is nowhere.
std::string find_program(const std::string &name);

/// Runs a program with both outputs in the file `log`, or where they are now if that is "". Returns
/// its exit status; −1 where it could not be started, or a signal ended it.
int run_program(std::vector<std::string> words, const std::string &log);

} // namespace tenon::command
