#include "compiler/host/HostTarget.h"

#include "tenon/Target.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"

using namespace tenon;

static const HostTarget kHostTargets[] = {
    {"host:x86-64-v3", "x86-64-v3", "", 8, 16, false, "none"},
    {"host:x86-64-v4", "x86-64-v4", "", 16, 32, true, "none"},
    {"host:x86-64-v4+bf16", "x86-64-v4", "+avx512bf16", 16, 32, true, "pairs"},
    {"host:x86-64-v4+amx", "x86-64-v4", "+avx512bf16,+avx512vbmi,+amx-tile,+amx-bf16", 16, 32, true, "tiles"},
    {"host:x86-64-v4+amx-emulated", "x86-64-v4", "+avx512bf16,+avx512vbmi", 16, 32, true, "tiles", true},
};

llvm::Expected<HostTarget> HostTarget::named(llvm::StringRef name) {
  std::string known;
  Result<Target> parsed = Target::parse(std::string_view(name)); // which may give caches
  for (const HostTarget &target : kHostTargets) {
    if (parsed && parsed->name() == target.name)
      return target;
    known += (known.empty() ? "" : ", ") + target.name;
  }
  return llvm::createStringError("there is no host target %s; there are %s", name.str().c_str(),
                                 known.c_str());
}
