#include "mongo/names.hpp"

#include <setget/record.hpp>

namespace setget::inline v0::mongo {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

void put_hex(std::string& out, std::uint64_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out.push_back(kDigits[value >> shift & 15]);
}

void put_escaped(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > '!' && byte < '~') {
      out.push_back(c);
      continue;
    }
    out.push_back(byte <= '!' ? '!' : '~');
    put_hex(out, byte, 2);
  }
}

}  // namespace

std::string document_id(std::uint64_t hash, std::string_view ns, std::string_view id) {
  std::string out;
  out.reserve(20 + ns.size() + id.size());
  put_hex(out, hash, 16);
  put_escaped(out, ns);
  out.push_back(' ');
  put_escaped(out, id);
  return out;
}

std::string document_id(std::string_view ns, std::string_view id) { return document_id(identity_hash(ns, id), ns, id); }

std::string order_of(Version version, Revision revision) {
  std::string out;
  out.reserve(31);
  put_hex(out, version, 14);
  out.push_back('.');
  put_hex(out, revision, 16);
  return out;
}

}  // namespace setget::inline v0::mongo
