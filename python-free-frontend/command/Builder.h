/// Compiling the lines of a manifest in parallel into a directory.
#pragma once

#include "Command.h"
#include "Cubin.h"
#include "Manifest.h"

#include "tenon/Compiler.h"
#include "tenon/DiskStore.h"
#include "tenon/KernelKey.h"

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace tenon::command {

/// Where machine code of GPUs goes with the PTX: where something is here that makes it, or always,
/// so that a machine without is an error.
enum class CubinUse : uint8_t { kAuto, kAlways, kNever };
struct Cubins {
  CubinUse use = CubinUse::kAuto;
  CubinMaker maker = CubinMaker::kAny;
};
/// "auto", "always", "never"; "ptxas" or "nvjitlink": always, and by that.
Result<Cubins> parse_cubins(const std::string &text);

enum class BuildOutcome : uint8_t { kOpen, kBuilt, kThere, kFailed };

/// A kernel for a target: what is asked, then what came of it.
struct BuildLine {
  std::string place; ///< "kernels[2].sdpa"
  CompileRequest request;
  KernelKey key;
  std::string refusal; ///< why it cannot even be asked

  BuildOutcome outcome = BuildOutcome::kOpen;
  std::string kernel;
  double milliseconds = 0;
  size_t bytes = 0;
  int registers = 0, spill_bytes = 0;
  std::vector<std::string> notes; ///< of the directory
};

/// Every kernel for every target, each key once, in the order of the manifest. Files are read in
/// `folder`. Errors: a file that cannot be read or holds no graph.
Result<std::vector<BuildLine>> expand(const Manifest &manifest,
                                      const std::vector<std::string> &targets,
                                      const std::string &folder);

class Builder {
public:
  Builder(DiskStore &store, Cubins cubins, unsigned jobs)
      : store_(store), cubins_(cubins), jobs_(jobs) {}
  void run(std::vector<BuildLine> &lines);
  double seconds() const { return seconds_; }

private:
  void build(BuildLine &line);
  Result<bool> make(BuildLine &line);
  Result<bool> add_cubin(BuildLine &line, KernelImage &image);
  void show(const BuildLine &line, size_t done, size_t all);

  DiskStore &store_;
  Cubins cubins_;
  unsigned jobs_;
  double seconds_ = 0;
  std::mutex showing_;
};

/// {"built", "there", "failed", "seconds", "cubins_by", "lines": [{"place", "target", "kernel", …}…]}
Json report_of(const std::vector<BuildLine> &lines, double seconds, CubinMaker maker);
std::string summary_of(const Json &report);

} // namespace tenon::command
