/// One kernel image, one launch description, one argument block.
///
/// A kernel image is what the compiler hands over and what a cache keeps: named sections of code for
/// one target, and the description of how to launch them. It is read into memory, verified against
/// its checksum, and only then loaded by a device. The layout of the bytes:
///
///     "TENONIMG"  u32 format version  u32 header bytes  header (JSON)  sections  u128 XXH3 of all before
///
/// Numbers are little-endian. `parse` accepts nothing that `serialize` could not have written.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tenon {

/// Raised whenever generated code or its calling convention changes: part of every cache key.
inline constexpr uint32_t kCodeGenerationVersion = 22;

inline constexpr int kMaxTensorArguments = 16;
inline constexpr int kMaxScalarArguments = 16;
inline constexpr int kMaxTensorMaps = 4;

/// One tensor as a kernel sees it: always [batch, heads, rows, width]; strides in elements, 0 where
/// the tensor is broadcast. A table read by `load` has as many leading dimensions as it has indices.
struct TensorArgument {
  void *data;
  int64_t strides[4];
  int32_t sizes[4];
};

/// The argument block: the one parameter of every kernel, by pointer on the host and by value
/// (`.param .align 64 .b8 [sizeof]`) on a GPU. Fields that a kernel does not read may hold anything.
struct KernelArguments {
  int32_t batch, heads, key_heads;       ///< heads of the query; heads of key and value
  int32_t query_length, key_length;      ///< rows of the query; rows of key and value
  int32_t phase;                         ///< on the host: its number among those that the launch runs
  int32_t reserved[2];
  uint64_t seed, offset;                 ///< of dropout, where the pointers below are null
  const uint64_t *seed_pointer;          ///< in device memory, so that a replayed graph can change it
  const uint64_t *offset_pointer;
  const int32_t *query_offsets;          ///< ragged batches: first row of each sequence, batch + 1 of them
  const int32_t *key_offsets;
  const int32_t *block_table;            ///< paged keys: [batch, block_table_stride]
  int64_t block_table_stride;
  void *workspace;                       ///< the launch's workspace on a GPU; blocks index into it
  union Scalar { float real; int32_t index; } scalars[kMaxScalarArguments];
  TensorArgument tensors[kMaxTensorArguments];
  alignas(64) unsigned char tensor_maps[kMaxTensorMaps][128];  ///< TMA descriptors
};
static_assert(sizeof(TensorArgument) == 56 && offsetof(KernelArguments, scalars) == 104);
static_assert(offsetof(KernelArguments, tensors) == 168 && sizeof(KernelArguments) == 1600);

/// At the start of a thread's workspace: zero at the first block that a thread computes of a phase. What a block leaves
/// in the workspace, later ones of the same phase find, unless these bytes are zero again.
inline constexpr size_t kOwnWorkspaceBytes = 64;
/// The function that a host image exports. One call computes one block of the grid; `workspace` is
/// the calling thread's own, of the size that the phase's rule gives, aligned to 64 bytes.
using HostEntry = void (*)(const KernelArguments *arguments, void *workspace, int32_t x, int32_t y,
                           int32_t z);

/// What a slot of KernelArguments::tensors is filled with. A workspace tensor is filled in by the device:
/// it lies in the launch's workspace, where one phase leaves it to the next. Its index counts those that the lengths of the
/// launch have, so that phases of other lengths find tensors of other sizes in one slot.
enum class TensorRole : uint8_t { kInput, kOutput, kWorkspace };
struct TensorSlot {
  TensorRole role;
  int32_t index;  ///< of the graph's inputs, of its results, of what LaunchDescription::workspace_tensors are there
};

/// Sizes that a grid or a workspace may depend on.
enum class Dimension : uint8_t { kOne, kBatch, kHeads, kKeyHeads, kQueryLength, kKeyLength };

/// ceil(multiplier · dimension / divisor) · ceil(times / times_divisor): blocks of queries times chunks of
/// keys, rows of all heads of a group, and so on. Where the second factor is beyond `most_times`, which is not 0, as many
/// chunks make one as leave at most that: it is ceil(times / (times_divisor · ceil(ceil(times / times_divisor) /
/// most_times))).
struct GridExtent {
  Dimension dimension = Dimension::kOne;
  uint32_t divisor = 1;
  uint32_t multiplier = 1;
  Dimension times = Dimension::kOne;
  uint32_t times_divisor = 1;
  uint32_t most_times = 0;
  bool operator==(const GridExtent &) const = default;
};

/// The lengths for which a part of a launch is there, bounds included: a length outside leaves it out.
struct LengthRange {
  int32_t least = 0, most = INT32_MAX;
  bool operator==(const LengthRange &) const = default;
};
struct LaunchCondition {
  LengthRange queries, keys;
  bool operator==(const LaunchCondition &) const = default;
};

/// A float32 tensor [batch, heads, rows, width] that phases hand on, contiguous; its sizes follow the lengths
/// of the launch.
struct WorkspaceTensor {
  GridExtent sizes[3];
  uint32_t width = 1;
  LaunchCondition when = {};
};

/// Beside the workspace tensors, what a block needs for itself: fixed_bytes, plus bytes_per_block for each
/// block of the grid on a GPU, for each thread on the host.
struct WorkspaceRule {
  uint64_t fixed_bytes = 0;
  uint64_t bytes_per_block = 0;
};

/// One entry point with its geometry. Phases run in order, each after the one before has ended. One image has phases
/// for few queries and for many, and a launch runs those whose condition its lengths meet. An entry may have several.
struct LaunchPhase {
  std::string entry;
  GridExtent grid[3];
  uint32_t threads = 1;       ///< a block; 1 on the host
  uint32_t shared_bytes = 0;  ///< dynamic shared memory a block
  WorkspaceRule workspace;
  uint64_t code_offset = 0;   ///< of the entry in the host section
  LaunchCondition when = {};
};

struct LaunchDescription {
  std::vector<LaunchPhase> phases;
  std::vector<TensorSlot> tensors;  ///< slot i of KernelArguments::tensors
  std::vector<int32_t> scalars;     ///< slot i of KernelArguments::scalars holds this input of the graph
  std::vector<WorkspaceTensor> workspace_tensors;
  bool uses_dropout = false;
};

enum class SectionKind : uint8_t { kHostCode, kPtx, kCubin };
struct ImageSection {
  SectionKind kind;
  std::string target;  ///< "host:x86-64-v4", "sm_80"
  std::vector<std::byte> bytes;
};

class TENON_API KernelImage {
public:
  /// Of the bytes that `serialize` writes and `parse` reads.
  static constexpr uint32_t kFormatVersion = 5;

  std::string kernel;    ///< a readable name, unique within a process: attention_f16_d64_causal_3f2a…
  std::string key;       ///< all that the code depends on, in readable form
  std::string graph;     ///< canonical text of the graph whose hash the key holds; "" where no cache gave it
  std::string schedule;  ///< JSON object: tile_queries, tile_keys, threads, shared_bytes, …
  std::string few_schedule; ///< the same of few queries, where they have phases of their own
  std::vector<ImageSection> sections;
  LaunchDescription launch;

  const ImageSection *find(SectionKind kind) const;
  /// Of what so many queries run.
  const std::string &schedule_for(int64_t queries) const;
  std::vector<std::byte> serialize() const;
  /// Errors: kCorruptFile with what is wrong, for anything truncated, altered or of another version.
  static Result<KernelImage> parse(std::span<const std::byte> bytes);

  /// What a listing needs, without the sections: from the first bytes of an image, unverified.
  struct Summary {
    std::string kernel, key;
  };
  /// Errors: kCorruptFile where the header does not begin as `serialize` begins it, or is cut off.
  static Result<Summary> parse_summary(std::span<const std::byte> first_bytes);
};

} // namespace tenon
