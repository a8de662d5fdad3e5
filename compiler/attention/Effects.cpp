#include "compiler/attention/Effects.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <array>

using namespace mlir;
using namespace tenon;

// In the order of the enumeration.
static constexpr std::array<EffectName, static_cast<size_t>(Effect::kCount)> kEffects = {{
    {"cut-loops", "keys that a mask of indices hides are not visited, open blocks have no mask code",
     "attention/AnalyzeMask.cpp"},
    {"few-queries", "up to 16 queries have code of their own, keys in chunks", "attention/SplitQueries.cpp"},
    {"packed-heads", "few queries of the heads of a group share a tile", "attention/FewQueries.cpp"},
    {"key-chunks", "from 17 up to 128 queries long keys are cut in chunks, for more threads", "attention/ChooseSchedule.cpp"},
    {"hidden-blocks", "blocks that a table hides are left out", "host/HiddenBlocks.cpp"},
    {"folded-maxima", "maxima, beside tile units exponentials too, are taken in the loop that forms the products",
     "host/Products.cpp, FoldedProducts.cpp"},
    {"bounded-columns", "columns that no row sees are not computed: triangles", "host/ColumnBounds.cpp"},
    {"rare-rescaling", "the output is rescaled only where a reference moved", "host/Products.cpp"},
    {"standing-reference", "beside tile units a row's reference follows only where its sum outgrew it",
     "attention/ChooseSchedule.cpp"},
    {"rounded-exponentials", "2^x of degree 3 where the result is rounded to bfloat16 and not made in fixed point", "host/Pairs.cpp"},
    {"fixed-point", "2^x straight to words of bfloat16", "host/PowersOfPairs.cpp"},
    {"joined-reference", "a reference that stands joins the constant of exponents in fixed point", "host/PowersOfPairs.cpp"},
    {"kept-values", "values are rewritten once for all blocks of queries, in panels, for vdpbf16ps", "host/KeptRows.cpp"},
    {"kept-keys", "keys are copied once for all blocks of queries, in the order in which tile units read them",
     "host/TileOperands.cpp"},
    {"packed-tables", "masks and biases are transposed in strips", "host/Gather.cpp"},
    {"along-rows", "products of few queries run along the rows of keys and values", "host/RowProducts.cpp"},
    {"requests", "what few queries will read is requested ahead, and the results of tile units",
     "host/RowProducts.cpp, Results.cpp"},
    {"existing-rows", "rows that do not exist have no part in loops over scores of few queries, nor in products that end within a block",
     "host/RowProducts.cpp, RegisterTiles.cpp"},
    {"held-tiles", "narrow queries stay in tile registers", "host/TileProducts.cpp"},
    {"streaming-loads", "keys and values pass by the first-level cache on their way to tile registers",
     "host/TileProducts.cpp"},
}};

const EffectName &tenon::nameOf(Effect effect) { return kEffects[static_cast<size_t>(effect)]; }

bool tenon::isLeftOut(Operation *op, Effect effect) {
  Operation *function = isa<FunctionOpInterface>(op) ? op : op->getParentOfType<FunctionOpInterface>();
  auto without = function ? function->getAttrOfType<ArrayAttr>(kWithoutAttribute) : ArrayAttr();
  return without && llvm::any_of(without.getAsValueRange<StringAttr>(),
                                 [&](StringRef name) { return name == nameOf(effect).name; });
}

static std::string listOfEffects() {
  std::string list;
  for (const EffectName &effect : kEffects)
    list += ("\n  " + effect.name + ": " + effect.text + " (compiler/" + effect.file + ")").str();
  return list;
}

llvm::Error tenon::leaveOut(Operation *function, StringRef names) {
  if (names.empty())
    return llvm::Error::success();
  SmallVector<StringRef> list;
  names.split(list, ',');
  for (StringRef name : list)
    if (llvm::none_of(kEffects, [&](const EffectName &effect) { return effect.name == name; }))
      return llvm::createStringError("\"without\" has '" + name.str() + "'; there are" + listOfEffects());
  function->setAttr(kWithoutAttribute, Builder(function->getContext()).getStrArrayAttr(list));
  return llvm::Error::success();
}
