#include "gateway/uri.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/json_pointer.hpp"

namespace setget::inline v0::detail {
namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class Keep>
std::string encode(std::string_view bytes, Keep keep) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  const auto first = std::ranges::find_if_not(bytes, [&](char c) { return keep(static_cast<unsigned char>(c)); });
  const auto kept = static_cast<std::size_t>(first - bytes.begin());
  out = bytes.substr(0, kept);
  for (const char c : bytes.substr(kept)) {
    const auto byte = static_cast<unsigned char>(c);
    if (keep(byte)) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, Plus plus, std::size_t offset) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '+' && plus == Plus::kSpace) {
      out += ' ';
    } else if (text[at] != '%') {
      out += text[at];
    } else {
      const int high = at + 1 < text.size() ? hex_value(text[at + 1]) : -1;
      const int low = at + 2 < text.size() ? hex_value(text[at + 2]) : -1;
      if (high < 0 || low < 0)
        return Error(ErrorCode::kInvalidArgument,
                     fmt::format("request target: \"%\" at byte {} is not followed by two hexadecimal digits", offset + at))
            .at_field("target")
            .at_position(offset + at);
      out += static_cast<char>(high * 16 + low);
      at += 2;
    }
  }
  return out;
}

std::string percent_encode(std::string_view bytes) {
  return encode(bytes, [](unsigned char byte) { return byte > 0x20 && byte < 0x7F && byte != '%'; });
}

std::string percent_encode_segment(std::string_view bytes) {
  return encode(bytes, [](unsigned char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '.' ||
           byte == '_' || byte == '~';
  });
}

Result<Query> Query::parse(std::string_view text, std::size_t offset) {
  Query query;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('&', at), text.size());
    const std::string_view pair = text.substr(at, end - at);
    if (!pair.empty()) {
      const std::size_t equals = std::min(pair.find('='), pair.size());
      auto name = percent_decode(pair.substr(0, equals), Plus::kSpace, offset + at);
      if (!name) return std::move(name).error();
      const std::size_t value_at = std::min(equals + 1, pair.size());
      auto value = percent_decode(pair.substr(value_at), Plus::kSpace, offset + at + value_at);
      if (!value) return std::move(value).error();
      query.parameters_.push_back({*std::move(name), *std::move(value)});
    }
    at = end + 1;
  }
  return query;
}

const std::string* Query::find(std::string_view name) const noexcept {
  for (const auto& parameter : parameters_)
    if (parameter.name == name) return &parameter.value;
  return nullptr;
}

std::vector<Reason> Query::check(std::span<const std::string_view> known, std::string_view repeatable) const {
  constexpr std::size_t kMaxReasons = 32;
  std::vector<Reason> reasons;
  for (auto it = parameters_.begin(); it != parameters_.end() && reasons.size() < kMaxReasons; ++it) {
    const bool expected = std::find(known.begin(), known.end(), it->name) != known.end();
    const bool repeated = std::any_of(parameters_.begin(), it, [&](const Parameter& earlier) { return earlier.name == it->name; });
    if (!expected)
      reasons.push_back(
          {"unknown_parameter", fmt::format("query parameter \"{}\" is not known here", it->name), child_pointer({}, it->name)});
    else if (repeated && it->name != repeatable)
      reasons.push_back(
          {"repeated_parameter", fmt::format("query parameter \"{}\" may be given once", it->name), child_pointer({}, it->name)});
  }
  return reasons;
}

Target split_target(std::string_view target) noexcept {
  std::size_t start = 0;
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (target.starts_with('/')) break;  // as nearly all do
    if (target.substr(0, scheme.size()) != scheme) continue;
    start = std::min(target.find_first_of("/?", scheme.size()), target.size());
  }
  const std::string_view origin = target.substr(start);
  const std::size_t mark = std::min(origin.find('?'), origin.size());
  const std::size_t query = std::min(mark + 1, origin.size());
  return {origin.substr(0, mark), origin.substr(query), start + query};
}

}  // namespace setget::inline v0::detail
