// How identities and their order are written into a document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <setget/clock.hpp>

namespace setget::inline v0::mongo {

// _id: the identity's hash as 16 hexadecimal digits, the namespace, a blank, the id: "01b2…ns order-42". Its order, by bytes and by every
// collation that keeps ASCII in order, is that of key-store scans: (identity_hash, ns, id). Bytes up to '!' are written as "!XX" and those
// from '~' as "~XX", which keeps the order.
std::string document_id(std::string_view ns, std::string_view id);
std::string document_id(std::uint64_t hash, std::string_view ns, std::string_view id);

// (version, revision) as hexadecimal digits of fixed width: compared as a string it is compared as the pair. The guard of every write.
std::string order_of(Version version, Revision revision);

}  // namespace setget::inline v0::mongo
