#include "output.hpp"

#include <cinttypes>
#include <cstdio>
#include <ctime>

#include <setget/validator.hpp>

#include "cli.hpp"

namespace cli {

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t there = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (j < there ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) text += j <= there ? kDigits[group >> (18 - 6 * j) & 63u] : '=';
  }
  return text;
}

void put_bytes(Json& object, const std::string& name, std::string_view bytes) {
  if (setget::is_utf8(bytes)) {
    object[name] = std::string(bytes);
  } else {
    object[name + "_base64"] = base64(bytes);
  }
}

std::string shown(std::string_view bytes) {
  const bool text = setget::is_utf8(bytes);
  std::string made;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    // C1 controls are 0xC2 0x80..0x9F in UTF-8.
    const bool c1 = byte == 0xc2 && i + 1 < bytes.size() && static_cast<unsigned char>(bytes[i + 1]) < 0xa0;
    if (byte >= 0x20 && byte != 0x7f && (byte < 0x80 || (text && !c1))) {
      made += static_cast<char>(byte);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    made += escaped;
    if (text && c1) {
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(bytes[++i]));
      made += escaped;
    }
  }
  return made;
}

std::string iso(setget::TimePoint time) {
  const auto ms = time.time_since_epoch().count();
  auto seconds = static_cast<std::time_t>(ms / 1000);
  auto rest = static_cast<int>(ms % 1000);
  if (rest < 0) {
    rest += 1000;
    --seconds;
  }
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char day[40];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03dZ", day, rest);
  return text;
}

Json iso_or_null(const std::optional<setget::TimePoint>& time) { return time ? Json(iso(*time)) : Json(nullptr); }

std::string age(setget::Milliseconds length) {
  const std::int64_t ms = length.count();
  char text[32];
  if (ms < 1000) {
    std::snprintf(text, sizeof text, "%" PRId64 "ms", ms);
  } else if (ms < 60'000) {
    std::snprintf(text, sizeof text, "%.1fs", static_cast<double>(ms) / 1000);
  } else if (ms < 3'600'000) {
    std::snprintf(text, sizeof text, "%" PRId64 "m", ms / 60'000);
  } else if (ms < 172'800'000) {
    std::snprintf(text, sizeof text, "%" PRId64 "h", ms / 3'600'000);
  } else {
    std::snprintf(text, sizeof text, "%" PRId64 "d", ms / 86'400'000);
  }
  return text;
}

Json reasons_json(const std::vector<setget::Reason>& reasons) {
  Json list = Json::array();
  for (const auto& reason : reasons) list.push_back({{"code", reason.code}, {"message", reason.message}, {"pointer", reason.pointer}});
  return list;
}

void print(const Json& document) {
  const std::string text = document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int failed(const Common& common, const setget::Error& error) {
  if (common.json) {
    Json body = {{"error", std::string(to_string(error.code()))}, {"message", error.message()}};
    if (!error.field().empty()) body["field"] = error.field();
    if (error.position()) body["position"] = *error.position();
    if (!error.reasons().empty()) body["violations"] = reasons_json(error.reasons());
    body["retryable"] = error.retryable();
    const std::string text = body.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    std::fwrite(text.data(), 1, text.size(), stderr);
    return kFailed;
  }
  if (error.reasons().empty()) {
    std::fprintf(stderr, "setget: %s\n", shown(error.describe()).c_str());
  } else {
    std::fprintf(stderr, "setget: %s:\n", std::string(to_string(error.code())).c_str());
  }
  for (const auto& reason : error.reasons()) {
    std::fprintf(stderr, "  %s: %s (%s)\n", reason.pointer.empty() ? "/" : shown(reason.pointer).c_str(), shown(reason.message).c_str(),
                 reason.code.c_str());
  }
  return kFailed;
}

}  // namespace cli
