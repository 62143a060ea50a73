// Names of the key store's data; see docs/adr/0013-redis-layout.md. In part n, after PREFIX:{TAG}: stands
//
//   m            string  what the part belongs to (store and epoch) and its floor
//   e:NS/BYTES   string  an entry: what is known of the identity and of the webhook key with this name
//   l, b         list    change log; string: how many entries were trimmed from its head. Entry i (from 1) has position b + i
//   r            hash    the named cursors' positions in this part's log
//   c            hash    counters
//   o, h         list    outbox: states for histories, with their positions; hash: the last position, and how many bytes wait
//   x            zset    expiry buckets by the time when the first of them may be due; x:BUCKET list: what may expire then
//   g            zset    entries that can be forgotten once the floor passes their score
//   L:NS/INDEX   zset    listing index, in the order (identity_hash, id); N:NS set: the namespace's indexes in this part
#pragma once

#include <string>
#include <string_view>

namespace setget::inline v0::redis {

// The name of an entry within its part. A namespace has no '/', so no two entries share a name.
inline std::string entry_name(std::string_view head, std::string_view ns, std::string_view bytes) {
  std::string out;
  out.reserve(head.size() + 3 + ns.size() + bytes.size());
  out.append(head).append("e:").append(ns).append(1, '/').append(bytes);
  return out;
}

// "NS/BYTES": an entry's name where the part is known.
inline std::string qualified(std::string_view ns, std::string_view bytes) {
  std::string out;
  out.reserve(ns.size() + 1 + bytes.size());
  out.append(ns).append(1, '/').append(bytes);
  return out;
}

struct Qualified {
  std::string_view ns;
  std::string_view bytes;
};
inline Qualified split_qualified(std::string_view text) noexcept {
  const auto end = text.find('/');
  if (end == std::string_view::npos) return {{}, text};
  return {text.substr(0, end), text.substr(end + 1)};
}

}  // namespace setget::inline v0::redis
