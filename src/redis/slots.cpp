#include "redis/slots.hpp"

#include <algorithm>

namespace setget::inline v0::redis {
namespace {

constexpr auto kTable = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

Error not_a_map(std::string_view command) {
  return Error(ErrorCode::kCorrupted, std::string(command) + " answered something that is no slot map").from(ErrorSource::kRedis, 0, {});
}

// The value of a name in a list of names and values, which RESP3 calls a map.
const Reply* field(const Reply& list, std::string_view name) noexcept {
  const auto entries = list.elements();
  for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
    if (entries[i].text() == name) return &entries[i + 1];
  }
  return nullptr;
}

std::string host_or(const Reply* host, const Endpoint& asked) {
  // "?" and an empty name both mean that the node does not know its own name.
  if (host == nullptr || host->text().empty() || host->text() == "?") return asked.host;
  return std::string(host->text());
}

}  // namespace

std::uint16_t crc16(std::string_view bytes) noexcept {
  unsigned crc = 0;
  for (const char c : bytes) crc = ((crc << 8) & 0xffffU) ^ kTable[((crc >> 8) ^ static_cast<unsigned char>(c)) & 0xffU];
  return static_cast<std::uint16_t>(crc);
}

std::uint32_t key_slot(std::string_view key) noexcept {
  if (const auto open = key.find('{'); open != std::string_view::npos) {
    const auto close = key.find('}', open + 1);
    if (close != std::string_view::npos && close != open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % kSlots;
}

std::uint16_t SlotMap::number_of(const Endpoint& master) {
  const auto at = std::ranges::find(masters_, master) - masters_.begin();
  if (static_cast<std::size_t>(at) == masters_.size()) masters_.push_back(master);
  return static_cast<std::uint16_t>(at);
}

bool SlotMap::assign(std::int64_t first, std::int64_t last, const Endpoint& master) {
  if (first < 0 || last < first || last >= kSlots || master.host.empty() || master.port == 0) return false;
  std::fill(owner_.begin() + first, owner_.begin() + last + 1, number_of(master));
  return true;
}

Result<SlotMap> SlotMap::from_slots(const Reply& reply, const Endpoint& asked) {
  SlotMap map;
  if (!reply.is_list()) return not_a_map("CLUSTER SLOTS");
  for (const auto& range : reply.elements()) {  // [first, last, [host, port, id, …] of the master, replicas…]
    const auto parts = range.elements();
    if (parts.size() < 3 || parts[2].elements().size() < 2) return not_a_map("CLUSTER SLOTS");
    const auto node = parts[2].elements();
    Endpoint master{.host = host_or(node.data(), asked), .port = static_cast<std::uint16_t>(node[1].integer())};
    if (!map.assign(parts[0].integer(), parts[1].integer(), master)) return not_a_map("CLUSTER SLOTS");
  }
  return map;
}

Result<SlotMap> SlotMap::from_shards(const Reply& reply, const Endpoint& asked, bool tls) {
  SlotMap map;
  if (!reply.is_list()) return not_a_map("CLUSTER SHARDS");
  for (const auto& shard : reply.elements()) {
    const auto* slots = field(shard, "slots");
    const auto* nodes = field(shard, "nodes");
    if (slots == nullptr || nodes == nullptr || slots->elements().size() % 2 != 0) return not_a_map("CLUSTER SHARDS");
    const auto nodes_list = nodes->elements();
    const auto master = std::ranges::find_if(nodes_list, [](const Reply& node) {
      const auto* role = field(node, "role");
      const auto* health = field(node, "health");
      return role != nullptr && role->text() == "master" && (health == nullptr || health->text() == "online");
    });
    if (master == nodes_list.end()) continue;  // a shard that has lost its master: its slots have nobody
    const auto* port = field(*master, tls ? "tls-port" : "port");
    if (port == nullptr) return not_a_map("CLUSTER SHARDS");
    const Endpoint endpoint{.host = host_or(field(*master, "endpoint"), asked), .port = static_cast<std::uint16_t>(port->integer())};
    const auto bounds = slots->elements();
    for (std::size_t i = 0; i < bounds.size(); i += 2) {
      if (!map.assign(bounds[i].integer(), bounds[i + 1].integer(), endpoint)) return not_a_map("CLUSTER SHARDS");
    }
  }
  return map;
}

std::uint32_t SlotMap::covered() const noexcept { return static_cast<std::uint32_t>(kSlots - std::ranges::count(owner_, kNobody)); }

void SlotMap::move(std::uint32_t slot, const Endpoint& to) {
  if (slot < kSlots) owner_[slot] = number_of(to);
}

}  // namespace setget::inline v0::redis
