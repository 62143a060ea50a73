#include "mongo/names.hpp"

#include <algorithm>
#include <array>

#include <setget/record.hpp>

namespace setget::inline v0::mongo {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kHash = 16;
constexpr std::size_t kVersion = 14;
constexpr std::size_t kNumber = 16;
constexpr std::size_t kOrder = kVersion + 1 + kNumber;
static_assert(MarkText::kSize == kOrder + 1 + kNumber);

void put_hex(std::string& out, std::uint64_t value, std::size_t digits) {
  for (int shift = 4 * (static_cast<int>(digits) - 1); shift >= 0; shift -= 4) out.push_back(kDigits[value >> shift & 15]);
}

// What each byte is worth as a digit; 16: it is none. A search in kDigits was a twentieth of what reading a document costs.
constexpr auto kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(16);
  for (std::size_t i = 0; i < kDigits.size(); ++i) values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::uint8_t>(i);
  return values;
}();

// Nothing but such digits.
std::optional<std::uint64_t> take_hex(std::string_view digits) {
  std::uint64_t value = 0;
  for (const char c : digits) {
    const auto digit = kValues[static_cast<unsigned char>(c)];
    if (digit > 15) return std::nullopt;
    value = value << 4 | digit;
  }
  return value;
}

bool stands_for_itself(unsigned char byte) { return byte > '!' && byte < '~'; }

void put_escaped(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (stands_for_itself(byte)) {
      out.push_back(c);
      continue;
    }
    out.push_back(byte <= '!' ? '!' : '~');
    put_hex(out, byte, 2);
  }
}

// Only what put_escaped() writes: there is one way to write each.
bool take_escaped(std::string_view text, std::string& out) {
  if (std::ranges::all_of(text, stands_for_itself)) {
    out.assign(text);
    return true;
  }
  out.clear();
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (stands_for_itself(static_cast<unsigned char>(text[at]))) {
      out.push_back(text[at]);
      continue;
    }
    const auto digits = text.substr(at + 1, 2);
    const auto byte = take_hex(digits);
    if (digits.size() != 2 || !byte || text[at] != (*byte <= '!' ? '!' : '~') || stands_for_itself(static_cast<unsigned char>(*byte)))
      return false;
    out.push_back(static_cast<char>(*byte));
    at += 2;
  }
  return true;
}

}  // namespace

std::string document_id(std::uint64_t hash, std::string_view ns, std::string_view id) {
  std::string out;
  out.reserve(20 + ns.size() + id.size());
  put_hex(out, hash, kHash);
  put_escaped(out, ns);
  out.push_back(' ');
  put_escaped(out, id);
  return out;
}

std::string document_id(std::string_view ns, std::string_view id) { return document_id(identity_hash(ns, id), ns, id); }

bool take_identity(std::string_view document_id, Identity& into) {
  const auto blank = document_id.find(' ');
  if (blank == std::string_view::npos || blank < kHash) return false;
  const auto hash = take_hex(document_id.substr(0, kHash));
  if (!hash || !take_escaped(document_id.substr(kHash, blank - kHash), into.ns)) return false;
  if (!take_escaped(document_id.substr(blank + 1), into.id) || into.id.empty()) return false;
  into.hash = *hash;
  return identity_hash(into.ns, into.id) == *hash;
}

std::optional<Identity> identity_in(std::string_view document_id) {
  Identity identity;
  return take_identity(document_id, identity) ? std::optional(std::move(identity)) : std::nullopt;
}

std::uint64_t hash_below(std::string_view name) {
  std::uint64_t hash = 0;
  const auto before = [](std::uint64_t first) { return first == 0 ? 0 : first - 1; };
  for (std::size_t at = 0; at < kHash; ++at) {
    const auto byte = static_cast<unsigned char>(at < name.size() ? name[at] : '\0');
    if (kValues[byte] <= 15) {
      hash = hash << 4 | kValues[byte];
      continue;
    }
    // What follows its digits counts no more: hashes that go on with a lesser digit are below, whatever comes then.
    const std::uint64_t lesser = byte < '0' ? 0 : byte < 'a' ? 10 : 16;
    const auto first = (hash * 16 + lesser) << 4 * (kHash - at - 1);  // that is not; 0 if all are below
    return lesser == 0 ? before(first) : first - 1;
  }
  return name.substr(kHash) > std::string_view(" ") ? hash : before(hash);
}

std::string key_name(std::string_view ns, std::string_view key) {
  std::string out;
  out.reserve(ns.size() + 1 + key.size());
  put_escaped(out, ns);
  out.push_back(' ');
  out.append(key);
  return out;
}

std::string_view key_prefix_in(std::string_view document_id) {
  const auto blank = document_id.find(' ');
  return blank == std::string_view::npos || blank < kHash ? std::string_view() : document_id.substr(kHash, blank + 1 - kHash);
}

std::string order_of(Version version, Revision revision) {
  std::string out;
  out.reserve(kOrder);
  put_hex(out, version, kVersion);
  out.push_back('.');
  put_hex(out, revision, kNumber);
  return out;
}

std::string mark_of(Version version, Revision revision, std::int64_t turn) {
  auto out = order_of(version, revision);
  out.push_back('.');
  // Negative ones first.
  put_hex(out, static_cast<std::uint64_t>(turn) ^ std::uint64_t{1} << 63, kNumber);
  return out;
}

std::string_view order_in(std::string_view mark) { return mark.substr(0, kOrder); }

std::optional<Marked> read_mark(std::string_view mark) {
  if (mark.size() != kOrder + 1 + kNumber || mark[kVersion] != '.' || mark[kOrder] != '.') return std::nullopt;
  const auto version = take_hex(mark.substr(0, kVersion));
  const auto revision = take_hex(mark.substr(kVersion + 1, kNumber));
  if (!version || !revision || !take_hex(mark.substr(kOrder + 1))) return std::nullopt;
  return Marked{.version = *version, .revision = *revision};
}

}  // namespace setget::inline v0::mongo
