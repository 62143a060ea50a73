#include <re2/re2.h>

#include "validator/regex_engines.hpp"

namespace setget::inline v0::detail::schema {
namespace {

class Re2Regex final : public Regex {
 public:
  Re2Regex(const std::string& pattern, const re2::RE2::Options& options) : regex_(pattern, options) {}
  bool ok() const { return regex_.ok(); }
  RegexMatch search(std::string_view text) const override {
    const re2::StringPiece piece(text.data(), text.size());
    return regex_.Match(piece, 0, piece.size(), re2::RE2::UNANCHORED, nullptr, 0) ? RegexMatch::kYes : RegexMatch::kNo;
  }

 private:
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

std::unique_ptr<const Regex> make_re2(const std::string& pattern, const RegexLimits& limits) {
  auto regex = std::make_unique<Re2Regex>(pattern, options_of(limits));
  if (!regex->ok()) return nullptr;
  return regex;
}

std::unique_ptr<const RegexEnd> make_re2_end(const std::string& pattern, const RegexLimits& limits) {
  auto regex = std::make_unique<Re2End>(pattern, options_of(limits));
  if (!regex->ok()) return nullptr;
  return regex;
}

}  // namespace setget::inline v0::detail::schema
