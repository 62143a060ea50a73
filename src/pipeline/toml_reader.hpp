// TomlReader: typed reading of one TOML table that knows the path and the line of everything, and refuses what nobody asked for.
// Private; header only, because pipeline (flows) and config (the rest) are different libraries.
// Thread rule: one thread. The first problem is kept; reading on after it is harmless.
#pragma once

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/error.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::detail {

// The document, or kInvalidArgument "setget.toml:12: …".
inline Result<toml::table> parse_toml(std::string_view text, std::string_view source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", source, error.source().begin.line, error.description()));
  }
}

// The line of the deepest part of a dotted path that is there; 1 if none is. Keys of paths from validation hold no dots but in names, which
// may: the longest key that fits is taken at each step.
inline std::size_t line_of(const toml::table& document, std::string_view path) {
  const toml::table* table = &document;
  std::size_t line = 1;
  while (table != nullptr && !path.empty()) {
    std::size_t best = 0;
    const toml::node* node = nullptr;
    for (const auto& [key, child] : *table) {
      const auto name = key.str();
      if (name.size() < best || !path.starts_with(name) || (path.size() > name.size() && path[name.size()] != '.')) continue;
      best = name.size();
      node = &child;
      line = key.source().begin.line;
    }
    if (node == nullptr) break;
    path.remove_prefix(std::min(best + 1, path.size()));
    table = node->as_table();
  }
  return line;
}

// By read(), which tells a failure: an iterator over the stream's buffer throws.
inline Result<std::string> read_text_file(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown))
    return Error(ErrorCode::kInvalidArgument, fmt::format("{} is a folder", path)).at_field(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(ErrorCode::kNotFound, fmt::format("cannot open {}", path)).at_field(path);
  std::string text;
  std::array<char, 4096> buffer{};
  while (file.read(buffer.data(), buffer.size()) || file.gcount() > 0) text.append(buffer.data(), static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Error(ErrorCode::kUnavailable, fmt::format("cannot read {}", path)).at_field(path);
  return text;
}

// What all readers of one document share.
struct TomlProblems {
  std::string source;
  std::optional<Error> first;
  void add(const std::string& path, const toml::source_region& where, std::string_view what) {
    if (first) return;
    first.emplace(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}: {}", source, where.begin.line, path, what));
    first->at_field(path);
  }
  Result<void> result() const { return first ? Result<void>(*first) : Result<void>(); }
};

class TomlReader {
 public:
  TomlReader(const toml::table& table, std::string path, TomlProblems& problems)
      : table_(&table), path_(std::move(path)), problems_(&problems) {}

  std::string path_of(std::string_view key) const { return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key); }
  void problem(std::string_view key, std::string_view what) const {
    const auto* node = table_->get(key);
    problems_->add(path_of(key), node != nullptr ? node->source() : table_->source(), what);
  }

  void read(std::string_view key, std::string& out) {
    if (const auto* node = take(key)) {
      if (const auto value = node->value_exact<std::string>())
        out = *value;
      else
        problem(key, "expected a string");
    }
  }
  void read(std::string_view key, std::optional<std::string>& out) {
    if (table_->contains(key)) read(key, out.emplace());
  }
  void read(std::string_view key, std::vector<std::string>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const auto* list = node->as_array();
    if (list == nullptr) return problem(key, "expected a list of strings");
    out.clear();
    for (const auto& element : *list) {
      const auto value = element.value_exact<std::string>();
      if (!value) return problem(key, "expected a list of strings");
      out.push_back(*value);
    }
  }
  void read(std::string_view key, bool& out) {
    if (const auto* node = take(key)) {
      if (const auto value = node->value_exact<bool>())
        out = *value;
      else
        problem(key, "expected true or false");
    }
  }
  void read(std::string_view key, std::optional<bool>& out) {
    if (table_->contains(key)) read(key, out.emplace());
  }
  // A count: an integer in [min, max of T].
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) void read(std::string_view key, T& out, T min = 0) {
    if (const auto* node = take(key)) {
      const auto value = node->value_exact<std::int64_t>();
      if (!value) return problem(key, "expected an integer");
      store(key, *value, out, min);
    }
  }
  // A number of bytes: an integer, or "64KiB", "8MiB", "1GiB".
  void read_bytes(std::string_view key, std::size_t& out, std::size_t min = 0) {
    const auto* node = table_->get(key);
    const auto text = node != nullptr ? node->value_exact<std::string>() : std::nullopt;
    if (!text) return read(key, out, min);
    take(key);
    std::size_t digits = 0;
    while (digits < text->size() && (*text)[digits] >= '0' && (*text)[digits] <= '9') ++digits;
    const std::string_view unit = std::string_view(*text).substr(digits);
    const int shift = unit == "KiB" ? 10 : unit == "MiB" ? 20 : unit == "GiB" ? 30 : -1;
    if (digits == 0 || digits > 9 || shift < 0)
      return problem(key, R"(expected bytes: an integer, or a string such as "64KiB", "8MiB", "1GiB")");
    store(key, static_cast<std::int64_t>(std::stoll(text->substr(0, digits))) << shift, out, min);
  }
  // A length of time: seconds as an integer, or "250ms", "90s", "15m", "36h", "7d", "2w".
  void read(std::string_view key, Milliseconds& out, Milliseconds min = Milliseconds(0)) {
    std::optional<Ttl> ttl;
    read(key, ttl);
    if (!ttl) return;
    if (ttl->is_never) return problem(key, "a length of time is needed, \"never\" is none");
    if (ttl->length < min) return problem(key, fmt::format("must be at least {}", to_string(Ttl::after(min))));
    out = ttl->length;
  }
  // A life: seconds, a length of time, or "never".
  void read(std::string_view key, std::optional<Ttl>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (const auto seconds = node->value_exact<std::int64_t>()) {
      if (*seconds < 0 || *seconds > std::numeric_limits<std::int64_t>::max() / 1000)
        return problem(key, fmt::format("{} seconds is out of range", *seconds));
      out = Ttl::after(Milliseconds(*seconds * 1000));
    } else if (const auto text = node->value_exact<std::string>()) {
      auto parsed = parse_ttl(*text);
      if (parsed)
        out = *parsed;
      else
        problem(key, parsed.error().message());
    } else {
      problem(key, R"(expected whole seconds, or a string such as "90s", "15m", "7d" or "never")");
    }
  }
  // One of a few words.
  template <class T>
  void read_choice(std::string_view key, T& out, std::initializer_list<std::pair<std::string_view, T>> choices) {
    std::optional<std::string> word;
    read(key, word);
    if (!word || problems_->first) return;
    std::string expected;
    for (const auto& [name, value] : choices) {
      if (name == *word) return void(out = value);
      expected += fmt::format("{}\"{}\"", expected.empty() ? "" : ", ", name);
    }
    problem(key, fmt::format("\"{}\" is not one of {}", *word, expected));
  }
  // A table inside; empty if there is none.
  std::optional<TomlReader> section(std::string_view key) {
    const auto* node = take(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* table = node->as_table()) return TomlReader(*table, path_of(key), *problems_);
    problem(key, "expected a table");
    return std::nullopt;
  }
  bool failed() const { return problems_->first.has_value(); }
  bool has(std::string_view key) const { return table_->contains(key); }
  bool is_table(std::string_view key) const { return table_->get_as<toml::table>(key) != nullptr; }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (const auto& [key, node] : *table_) out.emplace_back(key.str());
    return out;
  }
  void ignore(std::string_view key) { taken_.emplace_back(key); }
  // Call last: everything that was not read is a mistake of the file.
  void refuse_unknown() const {
    for (const auto& [key, node] : *table_) {
      if (std::find(taken_.begin(), taken_.end(), key.str()) == taken_.end()) {
        problems_->add(path_of(key.str()), key.source(), node.is_table() ? "unknown section" : "unknown key");
      }
    }
  }

 private:
  const toml::node* take(std::string_view key) {
    taken_.emplace_back(key);
    return table_->get(key);
  }
  template <class T>
  void store(std::string_view key, std::int64_t value, T& out, T min) {
    if (value < 0 || static_cast<std::uint64_t>(value) < min) return problem(key, fmt::format("must be at least {}", min));
    if (static_cast<std::uint64_t>(value) > std::numeric_limits<T>::max())
      return problem(key, fmt::format("must be at most {}", std::numeric_limits<T>::max()));
    out = static_cast<T>(value);
  }

  const toml::table* table_;
  std::string path_;
  TomlProblems* problems_;
  std::vector<std::string> taken_;
};

}  // namespace setget::inline v0::detail
