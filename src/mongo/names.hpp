// How identities and their order are written into a document.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <setget/clock.hpp>

namespace setget::inline v0::mongo {

// _id: the identity's hash as 16 hexadecimal digits, the namespace, a blank, the id: "01b2…ns order-42". Its order, by bytes and by every
// collation that keeps ASCII in order, is that of key-store scans: (identity_hash, ns, id). Bytes up to '!' are written as "!XX" and those
// from '~' as "~XX", which keeps the order.
std::string document_id(std::string_view ns, std::string_view id);
std::string document_id(std::uint64_t hash, std::string_view ns, std::string_view id);

// What document_id() made a name of, byte for byte. Empty: it has not made this one, or not of the hash that these have.
struct Identity {
  std::uint64_t hash = 0;
  std::string ns{};
  std::string id{};
};
std::optional<Identity> identity_in(std::string_view document_id);
// The same into one that is used again. False: what is in it then is of no use.
bool take_identity(std::string_view document_id, Identity& into);

// The greatest hash whose identities all sort before `name`, or 0: with which of the archive's documents any other one is found.
std::uint64_t hash_below(std::string_view name);

// A key where queries find it: the namespace as in document_id(), a blank, the key as it is. No two keys of any namespaces have one name.
std::string key_name(std::string_view ns, std::string_view key);
// With what the names of all keys begin that lead to what document_id() made this name of.
std::string_view key_prefix_in(std::string_view document_id);

// (version, revision) as hexadecimal digits of fixed width: compared as a string it is compared as the pair.
std::string order_of(Version version, Revision revision);

// What one write was: order_of(), a dot, and `turn` in as many digits as a number has, which sort as it does. The first member of each part
// of a document, and the guard of every write.
std::string mark_of(Version version, Revision revision, std::int64_t turn);
// Its version and revision, as a part of `mark`. Of what is no mark, something that is none either.
std::string_view order_in(std::string_view mark);
struct Marked {
  Version version = 0;
  Revision revision = 0;
};
// Empty: mark_of() has not made it.
std::optional<Marked> read_mark(std::string_view mark);

// A mark where it is kept: documents are read by the hundred thousand, and a string of this length would be a block of memory each.
class MarkText {
 public:
  static constexpr std::size_t kSize = 48;  // of each that mark_of() makes
  MarkText() = default;
  // What is longer is none: as if there was nothing.
  explicit MarkText(std::string_view mark) noexcept : size_(mark.size() <= kSize ? static_cast<std::uint8_t>(mark.size()) : 0) {
    mark.copy(text_.data(), size_);
  }
  std::string_view view() const noexcept { return {text_.data(), size_}; }
  void clear() noexcept { size_ = 0; }

 private:
  std::array<char, kSize> text_{};
  std::uint8_t size_ = 0;
};

}  // namespace setget::inline v0::mongo
