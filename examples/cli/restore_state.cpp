#include "restore_state.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "files.hpp"
#include "output.hpp"

namespace cli {
namespace {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

std::string conditions_of(const setget::RestoreOptions& options) {
  Json out = Json::object();
  const auto put = [&](const char* name, const std::optional<std::string>& value) {
    if (value) out[name] = base64(*value);
  };
  put("namespace", options.ns);
  put("account", options.account);
  put("flow", options.flow);
  put("owner", options.owner);
  put("key", options.key);
  if (options.include_expired) out["include_expired"] = options.ttl ? to_string(*options.ttl) : "by policy";
  if (options.at) out["at"] = options.at->time_since_epoch().count();
  out["overwrite"] = options.overwrite;
  return out.dump();
}

// The counts of a report, by the names they have in the file.
template <class Report, class Each>
void each_count(Report& report, Each each) {
  each("considered", report.considered);
  each("restored", report.restored);
  each("overwritten", report.overwritten);
  each("skipped_expired", report.skipped_expired);
  each("skipped_present", report.skipped_present);
  each("damaged", report.damaged);
}

}  // namespace

RestoreState::RestoreState(std::string path, const setget::RestoreOptions& options)
    : path_(std::move(path)), conditions_(conditions_of(options)) {}

Result<std::optional<setget::RestoreProgress>> RestoreState::load() const {
  const auto text = read_whole(path_);
  if (!text && text.error().code() == ErrorCode::kNotFound) {
    // Said before any work is done, and not when the first page is.
    const auto folder = std::filesystem::path(path_).parent_path();
    if (::access(folder.empty() ? "." : folder.c_str(), W_OK) == 0) return std::optional<setget::RestoreProgress>();
    return Error(ErrorCode::kInvalidArgument, "cannot write " + path_ + ": " + std::strerror(errno)).at_field("state");
  }
  if (!text) return Error(ErrorCode::kInvalidArgument, path_ + ": " + text.error().message()).at_field("state");
  const auto body = Json::parse(*text, nullptr, false);
  const auto not_ours = [&] {
    return Error(ErrorCode::kInvalidArgument, path_ + " is not the state of a restore; remove it, or name another file").at_field("state");
  };
  try {
    if (!body.is_object() || body.at("format") != 1) return not_ours();
    if (body.at("conditions") != conditions_) {
      return Error(ErrorCode::kFailedPrecondition, path_ + " is of a restore with other conditions: " +
                                                       body.at("conditions").get<std::string>() + "; finish that one, or remove the file")
          .at_field("state");
    }
    setget::RestoreProgress progress;
    for (const auto& byte : body.at("cursor")) progress.cursor.push_back(static_cast<char>(byte.get<unsigned char>()));
    progress.store = {.uuid = body.at("store").get<std::string>(), .epoch = body.at("epoch").get<std::uint64_t>()};
    progress.archive = body.value("archive", std::string());  // files from before it was kept have none
    progress.started_at = setget::TimePoint(setget::Milliseconds(body.at("started_at").get<std::int64_t>()));
    progress.report.into_empty_store = body.at("into_empty_store").get<bool>();
    each_count(progress.report, [&](const char* name, std::uint64_t& count) {
      // Files from before damage was counted have none of that.
      count = std::string_view(name) == "damaged" ? body.value(name, std::uint64_t{0}) : body.at(name).get<std::uint64_t>();
    });
    return std::optional(std::move(progress));
  } catch (const Json::exception&) {
    return not_ours();
  }
}

void RestoreState::save(const setget::RestoreProgress& progress) const {
  Json body = {{"format", 1},
               {"conditions", conditions_},
               {"store", progress.store.uuid},
               {"epoch", progress.store.epoch},
               {"archive", progress.archive},
               {"started_at", progress.started_at.time_since_epoch().count()},
               {"into_empty_store", progress.report.into_empty_store},
               {"cursor", Json::array()}};
  // Cursors may hold any bytes.
  for (const char byte : progress.cursor) body["cursor"].push_back(static_cast<unsigned char>(byte));
  each_count(progress.report, [&](const char* name, const std::uint64_t& count) { body[name] = count; });
  const auto text = body.dump();
  const auto fresh = path_ + ".new";
  const auto fail = [&] { throw std::runtime_error("cannot write " + fresh + ": " + std::strerror(errno)); };
  {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(fresh.c_str(), "w"), &std::fclose);
    if (!file || std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() || std::fflush(file.get()) != 0 ||
        ::fsync(::fileno(file.get())) != 0)
      fail();
  }
  if (std::rename(fresh.c_str(), path_.c_str()) != 0) fail();
}

void RestoreState::remove() const noexcept {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace cli
