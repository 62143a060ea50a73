#include "mongo/cursors.hpp"

#include <utility>

#include "core/scan_cursor.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

constexpr char kNameAsItIs = '=';

}  // namespace

std::string cursor_behind(const std::string& name) {
  const auto identity = identity_in(name);
  return identity ? detail::encode_scan_cursor(identity->hash, identity->ns, identity->id) : kNameAsItIs + name;
}

Result<std::string> name_in(const std::string& cursor) {
  if (cursor.starts_with(kNameAsItIs)) return cursor.substr(1);
  const auto from = detail::decode_scan_cursor(cursor);
  if (!from) return from.error();
  // Before all that is the archive's there may be something else.
  if (from->hash == 0 && from->ns.empty() && from->id.empty()) return std::string();
  return document_id(from->hash, from->ns, from->id);
}

std::string cursor_before_all() { return std::string(1, kNameAsItIs); }

DamagedItem damaged_item(const std::string& name, const Error& error) {
  DamagedItem item{.hash = hash_below(name), .name = name, .reason = std::string(error.message())};
  if (auto identity = identity_in(name)) item = {identity->hash, std::move(identity->ns), std::move(identity->id), {}, item.reason};
  return item;
}

Document any_text() {
  Document out;
  out.add("$type", std::int32_t{2});
  return out;
}

bool is_damage(const Error& error) noexcept { return error.code() == ErrorCode::kCorrupted || error.code() == ErrorCode::kUnsupported; }

}  // namespace setget::inline v0::mongo
