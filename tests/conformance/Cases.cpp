#include "Cases.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

namespace tenon::conformance {

Case sized(std::string name, DataType dtype, int64_t batch, int64_t heads, int64_t key_heads, int64_t queries,
           int64_t keys, int64_t width, int64_t value_width) {
  Case c;
  c.name = std::move(name) + "_" + std::string(tenon::name(dtype));
  c.dtype = dtype;
  c.batch = batch, c.heads = heads, c.key_heads = key_heads;
  c.queries = queries, c.keys = keys, c.width = width, c.value_width = value_width;
  return c;
}

namespace {

// Sizes at the edges of tiles, and none at all.
void add_shapes(std::vector<Case> &list) {
  for (DataType dtype : kTypes) {
    list.push_back(sized("one_of_each", dtype, 1, 1, 1, 1, 1, 1, 1));
    list.push_back(sized("one_query", dtype, 2, 4, 4, 1, 129, 64, 64));
    list.push_back(sized("one_key", dtype, 2, 2, 2, 70, 1, 64, 64));
    list.push_back(sized("no_queries", dtype, 1, 2, 2, 0, 5, 32, 32));
    list.push_back(sized("no_keys", dtype, 1, 2, 2, 5, 0, 32, 32));
    list.push_back(sized("no_batch", dtype, 0, 2, 2, 5, 5, 32, 32));
    list.push_back(sized("whole_tiles", dtype, 1, 2, 2, 128, 384, 64, 64));
    list.push_back(sized("prime_sizes", dtype, 1, 3, 3, 67, 211, 37, 53));
    list.push_back(sized("grouped_heads", dtype, 2, 6, 2, 65, 97, 32, 32));
    list.push_back(sized("one_key_head", dtype, 1, 4, 1, 19, 65, 64, 64));
    list.push_back(sized("wide", dtype, 1, 2, 2, 67, 99, 256, 256));
    list.push_back(sized("value_wider", dtype, 1, 2, 2, 40, 70, 24, 96));
    list.push_back(sized("value_narrower", dtype, 1, 2, 2, 40, 70, 128, 7));
    // Blocks that see few keys between those that see all: what stays from one to the next must stay whole.
    Case stays = sized("heads_share_keys_of_odd_width", dtype, 1, 6, 3, 64, 40, 55, 64);
    stays.mask = Mask::kBoolKeys, stays.causal = CausalAlignment::kBottomRight;
    list.push_back(stays);
    for (int64_t width : {2, 8, 16, 31, 72, 80, 96, 112, 128, 160})
      list.push_back(sized("width_" + std::to_string(width), dtype, 1, 2, 2, 66, 65, width, width));
  }
}

void add_random_shapes(std::vector<Case> &list) {
  const char *all = std::getenv("TENON_TEST_ALL");
  int count = all && *all ? 240 : 24;
  std::mt19937 generator(20);
  auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  };
  for (int i = 0; i < count; ++i) {
    int64_t group = draw(1, 3), key_heads = draw(1, 3);
    Case c = sized("random_" + std::to_string(i), kTypes[i % 3], draw(1, 2), group * key_heads, key_heads,
                   draw(1, 150), draw(1, 260), draw(1, 96), draw(1, 96));
    c.causal = static_cast<CausalAlignment>(draw(0, 2));
    c.mask = static_cast<Mask>(draw(0, 5));
    c.dropout = draw(0, 3) == 0 ? 0.25 : 0;
    if (draw(0, 3) == 0)
      c.inputs = Inputs::kTransposed;
    list.push_back(c);
  }
}

void add_options(std::vector<Case> &list) {
  auto add = [&](std::string name, DataType dtype, auto change) {
    Case c = sized(std::move(name), dtype, 2, 4, 2, 70, 133, 64, 64);
    change(c);
    list.push_back(c);
  };
  for (DataType dtype : kTypes) {
    add("causal", dtype, [](Case &c) { c.causal = CausalAlignment::kTopLeft; });
    add("causal_more_queries", dtype, [](Case &c) { c.causal = CausalAlignment::kTopLeft, c.queries = 200; });
    add("bottom_right", dtype, [](Case &c) { c.causal = CausalAlignment::kBottomRight; });
    add("bottom_right_empty_rows", dtype, [](Case &c) { c.causal = CausalAlignment::kBottomRight, c.queries = 140; });
    add("decode_step", dtype, [](Case &c) { c.causal = CausalAlignment::kBottomRight, c.queries = 1; });
    add("scale", dtype, [](Case &c) { c.scale = 0.3; });
    add("scale_zero", dtype, [](Case &c) { c.scale = 0.0; });
    add("scale_negative", dtype, [](Case &c) { c.scale = -0.2; });
    add("mask_bool", dtype, [](Case &c) { c.mask = Mask::kBool; });
    add("mask_bool_rows", dtype, [](Case &c) { c.mask = Mask::kBoolRows; });
    add("mask_bool_keys", dtype, [](Case &c) { c.mask = Mask::kBoolKeys; });
    add("mask_additive", dtype, [](Case &c) { c.mask = Mask::kAdditive; });
    add("mask_additive_lowest", dtype, [](Case &c) { c.mask = Mask::kAdditiveLowest; });
    add("mask_additive_lowest_causal", dtype, [](Case &c) {
      c.mask = Mask::kAdditiveLowest, c.causal = CausalAlignment::kTopLeft;
    });
    // 6 times the others a key has about the weight of all of these: a sum in one chain loses most.
    for (int far : {6, 40})
      for (Inputs inputs : {Inputs::kLateKey, Inputs::kEarlyKey})
        add((inputs == Inputs::kLateKey ? "late_key_" : "early_key_") + std::to_string(far) + "_of_700", dtype,
            [&](Case &c) { c.inputs = inputs, c.far = far, c.keys = 700; });
    add("mask_additive_heads", dtype, [](Case &c) { c.mask = Mask::kAdditiveHeads; });
    add("mask_and_causal", dtype, [](Case &c) { c.mask = Mask::kBool, c.causal = CausalAlignment::kTopLeft; });
    add("nothing_visible", dtype, [](Case &c) { c.mask = Mask::kNothingVisible; });
    // Whole blocks of keys that no query of a tile sees, beside rows that see nothing.
    auto banded = [&](std::string name, Mask mask, auto change) {
      Case c = sized("mask_" + std::move(name), dtype, 1, 2, 2, 150, 500, 64, 64);
      c.mask = mask;
      change(c);
      list.push_back(c);
    };
    auto plain = [](Case &) {};
    banded("bool_band", Mask::kBoolBand, plain);
    banded("bool_band_heads", Mask::kBoolBandHeads, plain);
    banded("bool_band_by_columns", Mask::kBoolBandByColumns, plain);
    banded("bool_gap", Mask::kBoolGap, plain);
    banded("additive_band", Mask::kAdditiveBand, plain);
    banded("bool_band_causal", Mask::kBoolBand, [](Case &c) { c.causal = CausalAlignment::kTopLeft; });
    banded("additive_band_causal", Mask::kAdditiveBand, [](Case &c) { c.causal = CausalAlignment::kTopLeft; });
    banded("bool_band_dropout", Mask::kBoolBand, [](Case &c) { c.dropout = 0.3, c.launch.seed = 42; });
    banded("bool_band_not_a_number", Mask::kBoolBand, [](Case &c) { c.inputs = Inputs::kNotANumber; });
    banded("bool_band_few_queries", Mask::kBoolBand, [](Case &c) { c.queries = 9; });
    banded("bool_band_without_logsumexp", Mask::kBoolBand, [](Case &c) { c.logsumexp = false; });
    add("dropout", dtype, [](Case &c) { c.dropout = 0.3, c.launch.seed = 42, c.launch.offset = 7; });
    add("dropout_causal", dtype, [](Case &c) {
      c.dropout = 0.5, c.launch.seed = 0x123456789abcdef0, c.launch.offset = 0xffffffff;
      c.causal = CausalAlignment::kTopLeft;
    });
    add("dropout_all", dtype, [](Case &c) { c.dropout = 1; });
    // Of which the probabilities may be summed as they were rounded.
    auto alone = [&](std::string name, Inputs inputs) {
      add("without_logsumexp" + std::move(name), dtype, [&](Case &c) {
        c.logsumexp = false, c.inputs = inputs, c.queries = 140, c.keys = 300;
        c.causal = inputs == Inputs::kNotANumber ? CausalAlignment::kTopLeft : CausalAlignment::kNone;
      });
    };
    alone("", Inputs::kNormal);
    alone("_large_scores", Inputs::kLarge);
    alone("_not_a_number", Inputs::kNotANumber);
    alone("_infinite", Inputs::kInfinite);
  }
}

// Whose blocks of keys without a mask compare lane maxima on a GPU (kernels/FlashForward.h), on both sides of the test.
void add_wide_heads(std::vector<Case> &list) {
  auto add = [&](std::string name, DataType dtype, auto change) {
    Case c = sized("wide_head_" + name, dtype, 1, 4, 2, 150, 300, 128, 128);
    change(c);
    list.push_back(c);
  };
  for (DataType dtype : {DataType::kFloat16, DataType::kBFloat16}) {
    add("causal", dtype, [](Case &c) { c.causal = CausalAlignment::kTopLeft; });
    add("bottom_right", dtype, [](Case &c) { c.causal = CausalAlignment::kBottomRight; });
    add("scale_zero", dtype, [](Case &c) { c.scale = 0.0; });
    add("scale_negative", dtype, [](Case &c) { c.scale = -0.2; });
    add("bottom_right_empty_rows", dtype, [](Case &c) { c.causal = CausalAlignment::kBottomRight, c.queries = 450; });
    add("scale_negative_causal", dtype, [](Case &c) { c.scale = -0.2, c.causal = CausalAlignment::kBottomRight; });
    add("large_scores", dtype, [](Case &c) { c.inputs = Inputs::kLarge; });
    add("scores_of_10000", dtype, [](Case &c) { c.inputs = Inputs::kTenThousand, c.logsumexp = false; });
    add("not_a_number", dtype, [](Case &c) { c.inputs = Inputs::kNotANumber, c.causal = CausalAlignment::kTopLeft; });
    add("infinite", dtype, [](Case &c) { c.inputs = Inputs::kInfinite; });
    add("dropout", dtype, [](Case &c) { c.dropout = 0.3, c.causal = CausalAlignment::kBottomRight; });
    add("without_logsumexp", dtype, [](Case &c) { c.logsumexp = false, c.scale = 1.0; });
  }
}

void add_tf32(std::vector<Case> &list) {
  auto add = [&](std::string name, int64_t queries, int64_t keys, int64_t width, int64_t value_width, auto change) {
    Case c = sized("tf32_" + name, DataType::kFloat32, 2, 4, 2, queries, keys, width, value_width);
    c.tf32 = true;
    change(c);
    list.push_back(c);
  };
  auto plain = [](Case &) {};
  for (int64_t width : {16, 64, 128, 256})
    add("width_" + std::to_string(width), 70, 133, width, width, plain);
  add("odd_widths", 67, 99, 37, 53, plain);
  add("causal", 140, 133, 64, 64, [](Case &c) { c.causal = CausalAlignment::kTopLeft; });
  add("mask_and_dropout", 70, 133, 64, 64, [](Case &c) { c.mask = Mask::kBool, c.dropout = 0.3; });
  add("strided", 70, 133, 64, 64, [](Case &c) { c.inputs = Inputs::kStrided; });
  add("nothing_visible", 70, 133, 64, 64, [](Case &c) { c.mask = Mask::kNothingVisible; });
  add("decode", 3, 700, 64, 64, [](Case &c) { c.causal = CausalAlignment::kBottomRight; });
}

// Few queries: keys in chunks of 256 on a GPU and of 576 on the host, the heads of a group in one tile.
void add_decoding(std::vector<Case> &list) {
  auto add = [&](std::string name, DataType dtype, int64_t group, int64_t queries, int64_t keys, auto change) {
    Case c = sized("decode_" + name, dtype, 2, 2 * group, 2, queries, keys, 64, 64);
    c.causal = CausalAlignment::kBottomRight;
    change(c);
    list.push_back(c);
  };
  auto plain = [](Case &) {};
  for (DataType dtype : kTypes) {
    for (int64_t keys : {1, 255, 256, 257, 576, 577, 1031, 1153})
      add("keys_" + std::to_string(keys), dtype, 4, 1, keys, plain);
    add("long", dtype, 4, 1, 20'011, [](Case &c) { c.batch = 1; });
    for (int64_t group : {1, 2, 3, 8, 20, 71})
      add("group_" + std::to_string(group), dtype, group, 1, 301, [](Case &c) { c.batch = 1; });
    for (int64_t queries : {2, 5, 8, 16})
      add("queries_" + std::to_string(queries), dtype, 3, queries, 530, plain);
    add("wide", dtype, 2, 3, 300, [](Case &c) { c.width = 256, c.value_width = 256; });
    add("odd_widths", dtype, 3, 2, 300, [](Case &c) { c.width = 37, c.value_width = 53; });
    add("mask_bool", dtype, 4, 4, 600, [](Case &c) { c.mask = Mask::kBool; });
    add("mask_heads", dtype, 4, 4, 600, [](Case &c) { c.mask = Mask::kAdditiveHeads; });
    add("nothing_visible", dtype, 4, 2, 600, [](Case &c) { c.mask = Mask::kNothingVisible; });
    // Whole blocks of keys that no head of a group sees, or one alone.
    add("mask_band", dtype, 1, 5, 1300, [](Case &c) { c.mask = Mask::kBoolBand; });
    add("mask_band_heads", dtype, 4, 4, 1300, [](Case &c) { c.mask = Mask::kBoolBandHeads; });
    add("mask_band_additive", dtype, 4, 2, 600, [](Case &c) { c.mask = Mask::kAdditiveBand; });
    add("mask_gap", dtype, 4, 1, 1300, [](Case &c) { c.mask = Mask::kBoolGap; });
    add("mask_gap_not_a_number", dtype, 4, 8, 600, [](Case &c) {
      c.mask = Mask::kBoolGap, c.inputs = Inputs::kNotANumber;
    });
    add("more_queries_than_keys", dtype, 2, 16, 9, plain);
    // The heads of a group stand in one tile, each with its own numbers.
    auto drops = [](Case &c) { c.dropout = 0.3, c.launch.seed = 42, c.launch.offset = 7; };
    add("dropout", dtype, 3, 5, 600, drops);
    add("dropout_one_query", dtype, 4, 1, 600, drops);
    add("dropout_more_rows_than_a_tile", dtype, 20, 3, 301, drops);
    add("dropout_mask_heads", dtype, 4, 2, 300, [&](Case &c) { drops(c), c.mask = Mask::kAdditiveHeads; });
    add("not_a_number", dtype, 2, 8, 300, [](Case &c) { c.inputs = Inputs::kNotANumber; });
    for (int far : {6, 40})
      for (Inputs inputs : {Inputs::kLateKey, Inputs::kEarlyKey})
        add((inputs == Inputs::kLateKey ? "late_key_" : "early_key_") + std::to_string(far), dtype, 4, 2, 700,
            [&](Case &c) { c.inputs = inputs, c.far = far; });
    add("mask_lowest", dtype, 4, 3, 700, [](Case &c) { c.mask = Mask::kAdditiveLowest; });
    add("large_scores", dtype, 4, 2, 700, [](Case &c) { c.inputs = Inputs::kLarge; });
    add("transposed", dtype, 4, 3, 300, [](Case &c) { c.inputs = Inputs::kTransposed; });
    add("strided", dtype, 4, 3, 300, [](Case &c) { c.inputs = Inputs::kStrided; });
    add("without_logsumexp", dtype, 4, 1, 700, [](Case &c) { c.logsumexp = false; });
  }
}

// On the host keys of 17 to 128 queries are cut in chunks of 2,048 and more; some chunks show nothing to some queries.
void add_chunked(std::vector<Case> &list) {
  for (DataType dtype : kTypes) {
    auto add = [&](const std::string &name, int64_t queries, int64_t heads, int64_t keys, auto change) {
      Case c = sized("chunked_" + name, dtype, 1, heads, heads, queries, keys, 64, 64);
      change(c);
      list.push_back(c);
    };
    auto plain = [](Case &) {};
    auto bottomRight = [](Case &c) { c.causal = CausalAlignment::kBottomRight; };
    auto masked = [](Mask mask) { return [mask](Case &c) { c.mask = mask; }; };
    auto filled = [](Inputs inputs) { return [inputs](Case &c) { c.inputs = inputs; }; };
    add("17", 17, 1, 4200, plain);
    add("33", 33, 2, 2500, bottomRight);
    add("64", 64, 1, 6144, plain);
    add("64_bottom_right", 64, 2, 4500, bottomRight);
    add("100_bottom_right", 100, 2, 4200, bottomRight);
    add("128", 128, 1, 2300, plain);
    add("129", 129, 1, 2300, plain); // not cut
    add("top_left", 40, 1, 4200, [](Case &c) { c.causal = CausalAlignment::kTopLeft; });
    add("grouped_heads", 20, 4, 2300, [&](Case &c) { c.batch = 2, c.key_heads = 2, bottomRight(c); });
    add("odd_widths", 33, 1, 2500, [&](Case &c) { c.width = 37, c.value_width = 53, bottomRight(c); });
    add("wide", 33, 1, 2500, [&](Case &c) { c.width = c.value_width = 160, bottomRight(c); });
    add("without_logsumexp", 33, 2, 2500, [](Case &c) { c.logsumexp = false; });
    add("without_logsumexp_bottom_right", 64, 2, 4500, [&](Case &c) { c.logsumexp = false, bottomRight(c); });
    add("dropout", 33, 2, 2500, [&](Case &c) { c.dropout = 0.3, c.launch.seed = 42, c.launch.offset = 7, bottomRight(c); });
    add("mask_bool", 33, 2, 2500, masked(Mask::kBool));
    add("mask_additive", 33, 2, 2500, masked(Mask::kAdditive));
    add("mask_lowest", 33, 1, 2500, masked(Mask::kAdditiveLowest));
    add("mask_band", 70, 1, 4200, masked(Mask::kBoolBand));
    add("mask_band_additive", 70, 1, 4200, masked(Mask::kAdditiveBand));
    add("mask_gap", 40, 1, 5000, masked(Mask::kBoolGap));
    add("nothing_visible", 40, 1, 2500, masked(Mask::kNothingVisible));
    add("late_key", 40, 1, 4200, filled(Inputs::kLateKey));
    add("early_key", 40, 1, 4200, filled(Inputs::kEarlyKey));
    add("large_scores", 40, 1, 4200, filled(Inputs::kLarge));
    add("not_a_number", 40, 2, 2500, [](Case &c) { c.inputs = Inputs::kNotANumber, c.causal = CausalAlignment::kTopLeft; });
    add("without_logsumexp_late_key", 40, 1, 4200, [](Case &c) { c.logsumexp = false, c.inputs = Inputs::kLateKey; });
  }
  // Longer chunks, so that there are not more than 16.
  list.push_back(sized("chunked_many_keys", DataType::kFloat32, 1, 1, 1, 17, 34'000, 32, 32));
}

void add_inputs(std::vector<Case> &list) {
  static constexpr std::pair<const char *, Inputs> kKinds[] = {
      {"large_scores", Inputs::kLarge},    {"late_key", Inputs::kLateKey},      {"subnormal", Inputs::kSubnormal},
      {"not_a_number", Inputs::kNotANumber}, {"infinite", Inputs::kInfinite},
      {"transposed", Inputs::kTransposed}, {"unaligned", Inputs::kUnaligned},   {"strided", Inputs::kStrided},
      {"broadcast", Inputs::kBroadcast}};
  for (DataType dtype : kTypes)
    for (auto [name, inputs] : kKinds) {
      Case c = sized(name, dtype, 2, 4, 2, 70, 133, 48, 40);
      c.inputs = inputs;
      c.causal = inputs == Inputs::kNotANumber ? CausalAlignment::kTopLeft : CausalAlignment::kNone;
      list.push_back(c);
    }
}

// Blocks with a causal mask or the last keys, beside a reference that stands.
void add_standing_causal(std::vector<Case> &list) {
  auto add = [&](std::string name, Inputs inputs, auto change) {
    Case c = sized("standing_causal_" + name, DataType::kBFloat16, 1, 4, 2, 700, 700, 64, 64);
    c.inputs = inputs, c.logsumexp = false, c.causal = CausalAlignment::kTopLeft;
    change(c);
    list.push_back(c);
  };
  auto plain = [](Case &) {};
  for (int64_t width : {32, 80, 128, 192})
    add("width_" + std::to_string(width), Inputs::kNormal, [&](Case &c) { c.width = c.value_width = width; });
  for (int64_t keys : {31, 33, 511, 513, 1300})
    add("keys_" + std::to_string(keys), Inputs::kNormal, [&](Case &c) { c.keys = keys; });
  for (int64_t keys : {300, 1031})
    add("bottom_right_keys_" + std::to_string(keys), Inputs::kNormal,
        [&](Case &c) { c.queries = 417, c.keys = keys, c.causal = CausalAlignment::kBottomRight; });
  for (int far : {2, 6, 40}) {
    add("late_key_" + std::to_string(far), Inputs::kLateKey, [&](Case &c) { c.far = far; });
    add("early_key_" + std::to_string(far), Inputs::kEarlyKey, [&](Case &c) { c.far = far; });
  }
  add("negative_scale", Inputs::kNormal, [](Case &c) { c.scale = -0.3; });
  add("zero_scale", Inputs::kNormal, [](Case &c) { c.scale = 0.0; });
  add("great_scale", Inputs::kNormal, [](Case &c) { c.scale = 1e7; }); // scores of 1e8
  add("large_scores", Inputs::kLarge, plain);
  add("scores_of_10000", Inputs::kTenThousand, plain);
  add("not_a_number", Inputs::kNotANumber, plain);
  add("infinite", Inputs::kInfinite, plain);
  for (std::string effect : {"bounded-columns", "folded-maxima", "fixed-point", "held-tiles", "kept-keys", "requests"}) {
    std::string name = "without_" + effect;
    std::ranges::replace(name, '-', '_');
    add(name, Inputs::kNormal, [&](Case &c) { c.without = effect; });
  }
}

// Rows whose reference is that of the first keys until they outgrow it: where no logsumexp is asked for.
void add_standing(std::vector<Case> &list) {
  auto add = [&](std::string name, Inputs inputs, int64_t width, auto change) {
    std::ranges::replace(name, '-', '_');
    Case c = sized("standing_" + name, DataType::kBFloat16, 1, 4, 2, 70, 700, width, width);
    c.inputs = inputs, c.logsumexp = false;
    change(c);
    list.push_back(c);
  };
  auto plain = [](Case &) {};
  for (int64_t width : {32, 64, 80, 128, 192})
    add("width_" + std::to_string(width), Inputs::kNormal, width, plain);
  add("causal", Inputs::kNormal, 64, [](Case &c) { c.queries = 700, c.causal = CausalAlignment::kTopLeft; });
  add("causal_wide", Inputs::kNormal, 128, [](Case &c) { c.queries = 300, c.causal = CausalAlignment::kBottomRight; });
  for (const char *effect : {"standing-reference", "joined-reference", "fixed-point"})
    add("without_" + std::string(effect), Inputs::kNormal, 64, [&](Case &c) { c.without = effect; });
  // More than eight blocks of queries, which keep keys; of width 256 not all keys have a place.
  for (int64_t width : {32, 72, 96, 128, 256})
    add("many_queries_width_" + std::to_string(width), Inputs::kNormal, width,
        [&](Case &c) { c.queries = 260, c.keys = width == 256 ? 2200 : 700; });
  // 768 keys are whole blocks: all of them are open.
  for (int far : {2, 6, 40})
    for (int64_t width : {64, 128, 192})
      add("late_key_" + std::to_string(far) + "_width_" + std::to_string(width), Inputs::kLateKey, width,
          [&](Case &c) { c.keys = 768, c.far = far; });
  add("negative_scale", Inputs::kNormal, 64, [](Case &c) { c.keys = 768, c.scale = -0.3; });
  add("zero_scale", Inputs::kNormal, 64, [](Case &c) { c.keys = 768, c.scale = 0.0; });
  add("great_scale", Inputs::kNormal, 64, [](Case &c) { c.keys = 768, c.scale = 1e7; });
  add("large_scores", Inputs::kLarge, 64, plain);
  add("scores_of_10000", Inputs::kTenThousand, 64, plain);
  add("not_a_number", Inputs::kNotANumber, 64, plain);
  add("infinite", Inputs::kInfinite, 64, plain);
  add("subnormal", Inputs::kSubnormal, 64, plain);
  add_standing_causal(list);
}

// What makes the host's code fast is left out, one effect after the other: the results stay right.
void add_without(std::vector<Case> &list) {
  static constexpr const char *kEffects[] = {
      "cut-loops",  "few-queries", "packed-heads", "key-chunks", "hidden-blocks", "folded-maxima", "bounded-columns",
      "fixed-point", "kept-values", "kept-keys", "rare-rescaling", "rounded-exponentials", "packed-tables", "along-rows",
      "requests",   "existing-rows", "held-tiles",    "streaming-loads", ""}; // the last: with all, on every way
  struct Kind {
    const char *name;
    int64_t queries, keys, width;
  };
  // Few queries; those that cut long keys in chunks; so many that keys of their width are kept.
  constexpr Kind kKinds[] = {{"few", 3, 500, 64}, {"chunks", 40, 2300, 64}, {"many", 270, 500, 128}};
  for (std::string effect : kEffects)
    for (const Kind &kind : kKinds) {
      std::string name = (effect.empty() ? "with_all_effects" : "without_" + effect) + "_" + kind.name;
      std::ranges::replace(name, '-', '_');
      Case c = sized(name, DataType::kBFloat16, 1, 4, 2, kind.queries, kind.keys, kind.width, kind.width);
      c.mask = Mask::kBoolBandHeads, c.causal = CausalAlignment::kBottomRight;
      c.without = effect;
      list.push_back(c);
    }
}

} // namespace

const std::vector<Case> &cases() {
  static const std::vector<Case> list = [] {
    std::vector<Case> all;
    add_shapes(all);
    add_options(all);
    add_wide_heads(all);
    add_decoding(all);
    add_tf32(all);
    add_chunked(all);
    add_inputs(all);
    add_standing(all);
    add_without(all);
    add_traced(all);
    add_random_shapes(all);
    return all;
  }();
  return list;
}

} // namespace tenon::conformance
