#include "cache/Signing.h"

#include "device/Library.h"
#include "device/Text.h"
#include "tenon/DiskStore.h"
#include "tenon/Files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tenon {
namespace {

constexpr size_t kSeedBytes = 32;
constexpr const char *kLibrary = "libsodium.so.23";

// https://doc.libsodium.org/public-key_cryptography/public-key_signatures
struct Sodium {
  int (*init)();
  void (*random)(void *, size_t);
  int (*seed_keypair)(unsigned char *public_key, unsigned char *secret, const unsigned char *seed);
  int (*sign)(unsigned char *signature, unsigned long long *size, const unsigned char *message,
              unsigned long long message_size, const unsigned char *secret);
  int (*verify)(const unsigned char *signature, const unsigned char *message,
                unsigned long long message_size, const unsigned char *public_key);
};

template <typename Function> bool bind(const Library &library, const char *name, Function &to) {
  to = reinterpret_cast<Function>(library.symbol(name));
  return to != nullptr;
}

Result<Sodium> open_sodium() {
  Result<Library> library = Library::open(kLibrary);
  if (!library)
    return Error(library.error().code(),
                 concat("signatures need libsodium: ", library.error().message()));
  Sodium sodium = {};
  const bool whole = bind(*library, "sodium_init", sodium.init) &&
                     bind(*library, "randombytes_buf", sodium.random) &&
                     bind(*library, "crypto_sign_ed25519_seed_keypair", sodium.seed_keypair) &&
                     bind(*library, "crypto_sign_ed25519_detached", sodium.sign) &&
                     bind(*library, "crypto_sign_ed25519_verify_detached", sodium.verify);
  if (!whole || sodium.init() < 0)
    return Error(ErrorCode::kUnsupported, concat(kLibrary, " has no Ed25519, or did not start"));
  library->keep();
  return sodium;
}

const Result<Sodium> &sodium() {
  static const Result<Sodium> opened = open_sodium();
  return opened;
}

const unsigned char *unsigned_bytes(const std::byte *bytes) {
  return reinterpret_cast<const unsigned char *>(bytes);
}
unsigned char *unsigned_bytes(std::byte *bytes) {
  return reinterpret_cast<unsigned char *>(bytes);
}

std::string digits_of(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes)
    text += hexadecimal(static_cast<uint64_t>(byte), 2);
  return text + "\n";
}

Result<std::vector<std::byte>> read_digits(const std::string &file) {
  TENON_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, read_file(file));
  std::string text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text.pop_back();
  if (text.size() != 2 * kSeedBytes ||
      text.find_first_not_of("0123456789abcdef") != std::string::npos)
    return Error(ErrorCode::kCorruptFile,
                 concat(file, ": a key is ", 2 * kSeedBytes, " hexadecimal digits on one line"));
  std::vector<std::byte> key;
  for (size_t i = 0; i < text.size(); i += 2)
    key.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return key;
}

Result<void> write_new_file(const std::string &path, const std::string &text, mode_t mode) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  const bool written =
      file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int number = errno;
  if (file >= 0)
    ::close(file);
  if (written)
    return {};
  return Error(ErrorCode::kIo, concat(path, ": cannot be written: ", std::strerror(number)));
}

} // namespace

SigningKey SigningKey::from_seed(std::span<const std::byte> seed) {
  SigningKey key;
  key.public_key_.resize(kPublicKeyBytes);
  sodium()->seed_keypair(unsigned_bytes(key.public_key_.data()), unsigned_bytes(key.secret_.data()),
                         unsigned_bytes(seed.data()));
  return key;
}

Result<SigningKey> SigningKey::read(const std::string &file) {
  struct stat status = {};
  if (::stat(file.c_str(), &status) == 0 && (status.st_mode & 077) != 0)
    return Error(ErrorCode::kUnsupported,
                 concat(file, ": others can read this secret key; chmod 600 it"));
  TENON_ASSIGN_OR_RETURN(const std::vector<std::byte> seed, read_digits(file));
  if (!sodium())
    return sodium().error();
  return from_seed(seed);
}

Result<Signature64> SigningKey::sign(std::span<const std::byte> message) const {
  Signature64 signature = {};
  unsigned long long size = 0;
  if (sodium()->sign(unsigned_bytes(signature.data()), &size, unsigned_bytes(message.data()),
                     message.size(), unsigned_bytes(secret_.data())) != 0)
    return Error(ErrorCode::kInternal, "libsodium did not sign");
  return signature;
}

Result<void> check_signature(std::span<const std::byte> message, const Signature64 &signature,
                             const PublicKey &key) {
  if (!sodium())
    return sodium().error();
  if (sodium()->verify(unsigned_bytes(signature.data()), unsigned_bytes(message.data()),
                       message.size(), unsigned_bytes(key.data())) != 0)
    return Error(ErrorCode::kCorruptFile, "the signature is wrong");
  return {};
}

Result<void> make_signing_key(const std::string &secret) {
  if (!sodium())
    return sodium().error();
  std::array<std::byte, kSeedBytes> seed;
  sodium()->random(seed.data(), seed.size());
  TENON_TRY(write_new_file(secret, digits_of(seed), 0600));
  return write_new_file(secret + ".public", digits_of(SigningKey::from_seed(seed).public_key()),
                        0644);
}

Result<PublicKey> read_public_key(const std::string &file) {
  return read_digits(file);
}

} // namespace tenon
