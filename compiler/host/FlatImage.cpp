#include "compiler/host/FlatImage.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"

#include <cstring>

using namespace llvm;
using namespace llvm::object;

namespace tenon {
namespace {

Error refuse(const Twine &reason) {
  return createStringError("host code " + reason);
}

class Layout {
public:
  Expected<FlatImage> make(const ELF64LEObjectFile &object, ArrayRef<StringRef> entries);

private:
  Error place(const SectionRef &section);
  Error relocate(const SectionRef &section);
  Expected<uint64_t> find(const ELF64LEObjectFile &object, StringRef entry);
  Expected<uint64_t> address(const ELF64LEObjectFile &object, const SymbolRef &symbol);

  FlatImage image_;
  DenseMap<uint64_t, uint64_t> offsets_; // of sections, by their index
};

Error Layout::place(const SectionRef &section) {
  ELFSectionRef elf(section);
  if (!(elf.getFlags() & ELF::SHF_ALLOC) || elf.getSize() == 0)
    return Error::success();
  if (elf.getType() == ELF::SHT_X86_64_UNWIND)
    return Error::success();
  if ((elf.getFlags() & ELF::SHF_WRITE) || section.isBSS())
    return refuse("has data to be written to: section " + cantFail(section.getName()));
  if (section.getAlignment().value() > kFlatImageAlignment)
    return refuse("has data with an alignment of more than 64 bytes");
  Expected<StringRef> contents = section.getContents();
  if (!contents)
    return contents.takeError();
  uint64_t offset = alignTo(image_.bytes.size(), section.getAlignment());
  offsets_[section.getIndex()] = offset;
  image_.bytes.resize(offset + contents->size());
  std::memcpy(image_.bytes.data() + offset, contents->data(), contents->size());
  return Error::success();
}

Expected<uint64_t> Layout::address(const ELF64LEObjectFile &object, const SymbolRef &symbol) {
  Expected<uint32_t> flags = symbol.getFlags();
  Expected<StringRef> name = symbol.getName();
  Expected<uint64_t> value = symbol.getValue();
  Expected<section_iterator> section = symbol.getSection();
  if (Error error = joinErrors(joinErrors(flags.takeError(), name.takeError()),
                               joinErrors(value.takeError(), section.takeError())))
    return error;
  if (*flags & SymbolRef::SF_Undefined)
    return refuse("imports " + *name);
  auto it =
      *section == object.section_end() ? offsets_.end() : offsets_.find((*section)->getIndex());
  if (it == offsets_.end())
    return refuse("refers to " + *name + ", which is not part of it");
  return it->second + *value;
}

Error Layout::relocate(const SectionRef &section) {
  Expected<section_iterator> target = section.getRelocatedSection();
  if (!target)
    return target.takeError();
  const auto &object = *cast<ELF64LEObjectFile>(section.getObject());
  if (*target == object.section_end())
    return Error::success();
  auto place = offsets_.find((*target)->getIndex());
  if (place == offsets_.end())
    return Error::success();
  for (const RelocationRef &relocation : section.relocations()) {
    uint64_t type = relocation.getType();
    if (type != ELF::R_X86_64_PC32 && type != ELF::R_X86_64_PLT32)
      return refuse("has a relocation of type " + Twine(type) +
                    ", which is not relative to itself");
    Expected<int64_t> addend = ELFRelocationRef(relocation).getAddend();
    if (!addend)
      return addend.takeError();
    Expected<uint64_t> symbol = address(object, *relocation.getSymbol());
    if (!symbol)
      return symbol.takeError();
    uint64_t offset = place->second + relocation.getOffset();
    if (offset + sizeof(int32_t) > image_.bytes.size())
      return refuse("has a relocation outside its section");
    support::endian::write32le(image_.bytes.data() + offset,
                               static_cast<uint32_t>(*symbol + *addend - offset));
  }
  return Error::success();
}

Expected<uint64_t> Layout::find(const ELF64LEObjectFile &object, StringRef entry) {
  for (const SymbolRef &symbol : object.symbols()) {
    Expected<StringRef> name = symbol.getName();
    Expected<SymbolRef::Type> type = symbol.getType();
    if (Error error = joinErrors(name.takeError(), type.takeError()))
      return error;
    if (*name != entry || *type == SymbolRef::ST_File) // the module's name is a symbol too
      continue;
    return address(object, symbol);
  }
  return refuse("has no function " + entry);
}

Expected<FlatImage> Layout::make(const ELF64LEObjectFile &object, ArrayRef<StringRef> entries) {
  for (const SectionRef &section : object.sections())
    if (Error error = place(section))
      return error;
  for (const SectionRef &section : object.sections())
    if (Error error = relocate(section))
      return error;
  for (StringRef entry : entries) {
    Expected<uint64_t> offset = find(object, entry);
    if (!offset)
      return offset.takeError();
    image_.entryOffsets.push_back(*offset);
  }
  return std::move(image_);
}

} // namespace

Expected<FlatImage> makeFlatImage(MemoryBufferRef object, ArrayRef<StringRef> entries) {
  Expected<std::unique_ptr<ObjectFile>> file = ObjectFile::createELFObjectFile(object);
  if (!file)
    return file.takeError();
  auto *elf = dyn_cast<ELF64LEObjectFile>(file->get());
  if (!elf || elf->getArch() != Triple::x86_64)
    return refuse("is not ELF for x86-64");
  return Layout().make(*elf, entries);
}

} // namespace tenon
