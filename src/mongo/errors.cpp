#include "mongo/errors.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace setget::inline v0::mongo {
namespace {

struct Meaning {
  std::int64_t native;
  ErrorCode code;
  std::string_view advice;
};

// github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml names the numbers. Error::retryable() follows from the code.
constexpr std::array kMeanings{
    Meaning{6, ErrorCode::kUnavailable, "the server cannot reach another one"},
    Meaning{7, ErrorCode::kUnavailable, "the server cannot find another one"},
    Meaning{13, ErrorCode::kFailedPrecondition, "the user may not do this; give it the role readWrite on the archive's database"},
    Meaning{14031, ErrorCode::kOutOfSpace, "the server's disk is full"},
    Meaning{17280, ErrorCode::kTooLarge, "a key is too long for an index of this server; MongoDB 4.2 has no such limit"},
    Meaning{18, ErrorCode::kFailedPrecondition, "the server refuses user or password; check the URI and its authSource"},
    Meaning{43, ErrorCode::kUnavailable, "the server has dropped the query; it was asked too late for the next documents, or restarted"},
    Meaning{50, ErrorCode::kDeadlineExceeded, "the server stopped the call at its time limit"},
    Meaning{64, ErrorCode::kUnavailable, "the write was not confirmed by enough members of the replica set; it may have been made"},
    Meaning{85, ErrorCode::kFailedPrecondition, "an index of that name or of those fields exists with other options"},
    Meaning{86, ErrorCode::kFailedPrecondition, "an index of that name exists with other fields"},
    Meaning{89, ErrorCode::kUnavailable, "the server waited too long for another one"},
    Meaning{91, ErrorCode::kUnavailable, "the server is shutting down"},
    Meaning{100, ErrorCode::kFailedPrecondition, "the replica set has too few members for this write concern"},
    Meaning{112, ErrorCode::kUnavailable, "another write came first"},
    Meaning{121, ErrorCode::kFailedPrecondition, "a validator of the collection refuses the document"},
    Meaning{133, ErrorCode::kUnavailable, "no member of the replica set fits the read preference"},
    Meaning{189, ErrorCode::kUnavailable, "another member of the replica set became primary"},
    Meaning{262, ErrorCode::kUnavailable, "the server stopped the call at a time limit"},
    Meaning{9001, ErrorCode::kUnavailable, "a connection behind the server broke"},
    Meaning{10107, ErrorCode::kUnavailable, "this server is not the primary any more"},
    Meaning{10334, ErrorCode::kTooLarge, "the document is larger than the server takes"},
    Meaning{11000, ErrorCode::kConflict, "a unique index that is not of the archive refuses the document"},
    Meaning{11600, ErrorCode::kUnavailable, "the server is shutting down"},
    Meaning{11602, ErrorCode::kUnavailable, "another member of the replica set became primary"},
    Meaning{13435, ErrorCode::kUnavailable, "this server is not the primary any more"},
    Meaning{13436, ErrorCode::kUnavailable, "this server is neither primary nor a readable secondary"},
};

// What old servers say without a number.
bool is_not_primary(std::string_view text) {
  return text.find("not master") != std::string_view::npos || text.find("not primary") != std::string_view::npos ||
         text.find("node is recovering") != std::string_view::npos;
}

bool is_network(const bson_error_t& error) {
  return error.domain == MONGOC_ERROR_STREAM || error.domain == MONGOC_ERROR_SERVER_SELECTION || error.domain == MONGOC_ERROR_PROTOCOL ||
         (error.domain == MONGOC_ERROR_CLIENT && error.code != MONGOC_ERROR_CLIENT_AUTHENTICATE);
}

}  // namespace

Error server_error(std::int64_t code, std::string_view text) {
  const auto number = static_cast<int>(code);
  const auto* const found = std::ranges::find(kMeanings, code, &Meaning::native);
  if (found != kMeanings.end()) return Error(found->code, std::string(found->advice)).from(ErrorSource::kMongo, number, std::string(text));
  if (is_not_primary(text)) {
    return Error(ErrorCode::kUnavailable, "this server is not the primary any more").from(ErrorSource::kMongo, number, std::string(text));
  }
  return Error(ErrorCode::kInternal, "the server refused the command").from(ErrorSource::kMongo, number, std::string(text));
}

Error call_error(const bson_error_t& error, Deadline deadline) {
  const std::string_view text = error.message;
  const auto made = [&](ErrorCode code, std::string message) {
    return Error(code, std::move(message)).from(ErrorSource::kMongo, 0, std::string(text));
  };
  if (error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE) {
    return made(ErrorCode::kFailedPrecondition, "the server refuses user or password; check the URI and its authSource");
  }
  if (is_network(error)) {
    if (deadline.passed())
      return made(ErrorCode::kDeadlineExceeded, "the server did not answer in time; what was asked for may have been done");
    if (error.domain == MONGOC_ERROR_SERVER_SELECTION) return made(ErrorCode::kUnavailable, "no suitable server can be reached");
    return made(ErrorCode::kUnavailable, "the connection to the server broke; what was asked for may have been done");
  }
  if (error.domain == MONGOC_ERROR_BSON) return made(ErrorCode::kTooLarge, "the driver cannot send this document");
  if (error.domain == MONGOC_ERROR_COMMAND && error.code == MONGOC_ERROR_COMMAND_INVALID_ARG) {
    return made(ErrorCode::kInternal, "the driver refuses the call");
  }
  return server_error(error.code, text);
}

// The driver has no code for it: it says that the connection broke, and why.
bool too_much_at_once(const bson_error_t& error) noexcept {
  return std::string_view(error.message).find("not within expected range") != std::string_view::npos;
}

bool worth_another_try(const Error& error) noexcept { return error.code() == ErrorCode::kUnavailable; }

Error with_trouble(Error error, const std::string& trouble) {
  if (trouble.empty() || error.source() != ErrorSource::kMongo || error.native_code() != 0) return error;
  return std::move(error).from(ErrorSource::kMongo, 0, trouble);
}

Error corrupted(std::string_view what) { return {ErrorCode::kCorrupted, "the archive is damaged: " + std::string(what)}; }

}  // namespace setget::inline v0::mongo
