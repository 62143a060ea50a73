#include "mapping/request_document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "mapping/distinct_texts.hpp"
#include "mapping/json_string.hpp"

namespace setget::inline v0::detail {
namespace {

using jmespath::Value;
using Member = std::pair<std::string_view, Value>;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool same_name(std::string_view name, std::string_view lower_case) noexcept {
  return std::equal(name.begin(), name.end(), lower_case.begin(), lower_case.end(), [](char a, char b) { return lower(a) == b; });
}

enum class Kind : std::uint8_t { kJson, kUnknown, kOther };

Kind kind_of(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  std::transform(type.begin(), type.end(), type.begin(), lower);
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
  if (type.empty()) return Kind::kUnknown;
  return type == "application/json" || type.ends_with("+json") ? Kind::kJson : Kind::kOther;
}

std::string timestamp(TimePoint time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date{std::chrono::sys_days(day)};
  const std::chrono::hh_mm_ss clock{since - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace

std::string_view header_of(const MappingInput& input, std::string_view name) noexcept {
  const auto found =
      std::find_if(input.headers.begin(), input.headers.end(), [&](const auto& header) { return same_name(header.first, name); });
  return found == input.headers.end() ? std::string_view() : std::string_view(found->second);
}

Result<RequestDocument> RequestDocument::make(const MappingInput& input, const jmespath::DocumentLimits& limits) {
  RequestDocument out;
  auto body = out.read_body(input, limits);
  if (!body) return std::move(body).error();
  const auto text = [](std::string_view value) { return jmespath::detail::is_utf8(value) ? Value::of(value) : Value(); };
  const std::array<Member, 6> members = {Member{"body", *body},
                                         Member{"headers", out.read_headers(input)},
                                         Member{"query", out.read_query(input)},
                                         Member{"path", text(input.path)},
                                         Member{"method", text(input.method)},
                                         Member{"received_at", out.workspace_.copy(timestamp(input.received_at))}};
  out.root_ = out.workspace_.object(members);
  return out;
}

Result<Value> RequestDocument::read_body(const MappingInput& input, const jmespath::DocumentLimits& limits) {
  const Kind kind = kind_of(header_of(input, "content-type"));
  if (kind != Kind::kJson && input.body.empty()) return Value();
  if (kind != Kind::kOther) {
    auto document = jmespath::Document::parse(input.body, limits);
    if (document) {
      body_ = *std::move(document);
      return body_->root();
    }
    if (kind == Kind::kJson || document.error().code() == ErrorCode::kTooLarge) return std::move(document).error();
  }
  return jmespath::detail::is_utf8(input.body.view()) ? Value::of(input.body.view()) : Value();
}

Value RequestDocument::read_headers(const MappingInput& input) {
  DistinctTexts names;
  std::vector<std::string> joined;
  std::string key;
  for (const auto& [name, value] : input.headers) {
    if (!jmespath::detail::is_utf8(name) || !jmespath::detail::is_utf8(value)) continue;
    key.resize(name.size());
    std::transform(name.begin(), name.end(), key.begin(), lower);
    if (const auto before = names.find(key)) {
      joined[*before].append(", ").append(value);
    } else {
      names.add(*workspace_.copy(key).string());
      joined.push_back(value);
    }
  }
  std::vector<Member> members;
  members.reserve(joined.size());
  for (std::size_t i = 0; i < joined.size(); ++i) members.emplace_back(names.texts()[i], workspace_.copy(joined[i]));
  return workspace_.object(members);
}

Value RequestDocument::read_query(const MappingInput& input) {
  DistinctTexts names;
  std::vector<Member> members;
  for (const auto& parameter : input.query) {
    const std::string_view name = parameter.first;
    const std::string_view value = parameter.second;
    if (!jmespath::detail::is_utf8(name) || !jmespath::detail::is_utf8(value) || names.find(name)) continue;
    names.add(name);
    members.emplace_back(name, Value::of(value));
  }
  return workspace_.object(members);
}

}  // namespace setget::inline v0::detail
