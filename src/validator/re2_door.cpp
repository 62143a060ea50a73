#include <re2/re2.h>

#include <algorithm>

#include <fmt/format.h>

#include "validator/regex_engines.hpp"

namespace setget::inline v0::detail::schema {
namespace {

class Re2Regex final : public Regex {
 public:
  Re2Regex(const Translated& from, const re2::RE2::Options& options) : regex_(from.pattern, options) {
    if (ok()) weigh(from.positions);
  }
  bool ok() const { return regex_.ok(); }
  bool is_too_large() const {
    return regex_.error_code() == re2::RE2::ErrorPatternTooLarge || regex_.error_code() == re2::RE2::ErrorRepeatSize;
  }
  RegexMatch look(std::string_view text, bool /*with_all*/) const override {
    const re2::StringPiece piece(text.data(), text.size());
    return regex_.Match(piece, 0, piece.size(), re2::RE2::UNANCHORED, nullptr, 0) ? RegexMatch::kYes : RegexMatch::kNo;
  }

 private:
  // RE2 goes through a text by an automaton that it builds as it goes, each state at the cost of the whole program; where there are too
  // many states to keep, without it: then each byte costs what stands in the program at all places that a match may have reached.
  void weigh(std::uint64_t positions) {
    const auto size = static_cast<std::uint64_t>(regex_.ProgramSize());
    set_weight(1 + size / 64 + std::min(size, positions * positions / 1024));
  }

  re2::RE2 regex_;
};

class Re2End final : public RegexEnd {
 public:
  Re2End(const std::string& pattern, const re2::RE2::Options& options) : regex_("(?s:.*)" + pattern, options) {}
  bool ok() const { return regex_.ok(); }
  // RE2 looks beyond the end of what is to be matched, as $ and \b need.
  bool is_at(std::string_view text, std::size_t at) const override {
    const re2::StringPiece piece(text.data(), text.size());
    return regex_.Match(piece, 0, at, re2::RE2::ANCHOR_BOTH, nullptr, 0);
  }

 private:
  re2::RE2 regex_;
};

re2::RE2::Options options_of(const RegexLimits& limits) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(static_cast<std::int64_t>(limits.max_memory));
  return options;
}

}  // namespace

Result<std::unique_ptr<const Regex>> make_re2(const Translated& from, const RegexLimits& limits) {
  const auto too_large = [&] {
    return Error(ErrorCode::kTooLarge,
                 fmt::format("regular expression: it needs more than {} bytes (max_pattern_memory)", limits.max_memory));
  };
  if (from.is_long) return too_large();
  auto regex = std::make_unique<Re2Regex>(from, options_of(limits));
  if (regex->is_too_large()) return too_large();
  if (!regex->ok()) return Error(ErrorCode::kUnsupported, "regular expression: RE2 does not take it");
  return std::unique_ptr<const Regex>(std::move(regex));
}

std::unique_ptr<const RegexEnd> make_re2_end(const std::string& pattern, const RegexLimits& limits) {
  auto regex = std::make_unique<Re2End>(pattern, options_of(limits));
  if (!regex->ok()) return nullptr;
  return regex;
}

}  // namespace setget::inline v0::detail::schema
