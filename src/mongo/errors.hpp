// What an error of the driver or of a server means here: one ErrorCode, one sentence that says what to do. Every Error of this folder has
// source kMongo; its native_code is the server's code or 0, its native_text the server's or the driver's own words, which never hold the
// URI.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mongo/mongoc.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::mongo {

inline constexpr std::int32_t kDuplicateKey = 11000;

// Of a whole call. After `deadline` what looks like a broken connection is kDeadlineExceeded.
Error call_error(const bson_error_t& error, Deadline deadline);
// The server put more into one answer than the driver takes.
bool too_much_at_once(const bson_error_t& error) noexcept;
// Of one document of a bulk, or of a command that was refused.
Error server_error(std::int64_t code, std::string_view text);
// True if the call may be made again on a new connection: it is idempotent, and the network or the server's role was the trouble.
bool worth_another_try(const Error& error) noexcept;
// The error with the reason why no connection came about, if there is one, as its native_text.
Error with_trouble(Error error, const std::string& trouble);
Error corrupted(std::string_view what);

}  // namespace setget::inline v0::mongo
