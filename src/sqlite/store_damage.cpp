#include "sqlite/store_damage.hpp"

#include <vector>

#include "sqlite/codec.hpp"
#include "sqlite/slot.hpp"
#include "sqlite/store_txn.hpp"

namespace setget::inline v0::sqlite {

namespace {

bool is_of(const std::optional<IdentRow>& ident, std::int64_t row) {
  return ident && ident->slot.state == IdentitySlot::State::kLive && row_of(ident->slot) == row;
}

}  // namespace

bool is_damage(const Error& error) noexcept { return error.code() == ErrorCode::kCorrupted; }

std::optional<Payload> readable_body(Connection& db, std::int64_t row) {
  try {
    auto body = db.query("SELECT sum, body FROM log WHERE stamp=?1");
    if (!body.with(row).step()) return std::nullopt;
    return checked_body(body.blob(1), body.integer(0));
  } catch (const SqlError& failed) {
    if (!is_damage(failed.error())) throw;
    return std::nullopt;
  }
}

std::optional<Command> remains_of(Connection& db, std::int64_t row) {
  try {
    Payload bytes;
    {
      auto body = db.query("SELECT body FROM log WHERE stamp=?1");
      if (!body.with(row).step()) return std::nullopt;
      bytes = Payload::copy(body.blob(0));
    }
    auto command = decode_command(bytes);
    if (!command || command->kind != CommandKind::kSet || !is_of(find_ident(db, command->ns, command->id), row)) return std::nullopt;
    return *std::move(command);
  } catch (const SqlError& failed) {
    if (!is_damage(failed.error())) throw;
    return std::nullopt;
  }
}

std::optional<std::string> holder_of_damaged(Connection& db, std::string_view ns, std::int64_t row) {
  if (auto command = remains_of(db, row)) return command->ns == ns ? std::optional(std::move(command->id)) : std::nullopt;
  auto ident = db.query("SELECT nsid FROM ident WHERE row=?1");
  if (!ident.with(row).step()) return std::nullopt;
  const auto name = split_qualified(ident.blob(0));
  return name.ns == ns ? std::optional<std::string>(name.name) : std::nullopt;
}

Payload remade_body(Connection& db, std::string_view ns, std::string_view id, std::int64_t row) {
  if (const auto command = remains_of(db, row); command && command->ns == ns && command->id == id) return encode_command(*command);
  std::vector<std::string> keys;
  {
    auto key = db.query("SELECT nskey FROM keys WHERE row=?1");
    key.with(row);
    while (key.step()) {
      const auto name = split_qualified(key.blob(0));
      if (name.ns == ns) keys.emplace_back(name.name);
    }
  }
  if (const auto ident = find_ident(db, ns, id)) {
    for (const auto key : ident->lost_keys) keys.emplace_back(key);
  }
  Command command;
  command.kind = CommandKind::kSet;
  command.ns = ns;
  command.id = id;
  command.keys = KeyList(std::span<const std::string>(keys));
  return encode_command(command);
}

}  // namespace setget::inline v0::sqlite
