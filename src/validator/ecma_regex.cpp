#include "validator/ecma_regex.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include <setget/validator.hpp>

#include "validator/ecma_translate.hpp"
#include "validator/regex_engines.hpp"

namespace setget::inline v0::detail::schema {
namespace {

// ^?, sets with counts, $?: what most patterns of schemas are. No engine, no table of states.
class PlainRegex final : public Regex {
 public:
  // Null where it would have to try more than one way.
  static std::unique_ptr<const Regex> make(const Translated& from) {
    if (!from.is_plain) return nullptr;
    auto regex = std::make_unique<PlainRegex>();
    regex->at_start_ = from.at_start;
    regex->at_end_ = from.at_end;
    std::uint64_t fixed = 0;
    bool is_fixed = true;
    for (std::size_t i = 0; i < from.items.size(); ++i) {
      const auto& item = from.items[i];
      const bool varies = item.min != item.max;
      is_fixed = is_fixed && !varies;
      fixed += item.min;
      // Taking as many as there are is right only if what follows cannot begin with one of them.
      for (std::size_t next = i + 1; varies && next < from.items.size(); ++next) {
        if (item.set.meets(from.items[next].set)) return nullptr;
        if (from.items[next].min > 0) break;
      }
      regex->items_.emplace_back(item);
    }
    // What may begin anywhere is tried everywhere: only if each try is short.
    if (!from.at_start && (!is_fixed || fixed > 32)) return nullptr;
    regex->fixed_ = is_fixed ? fixed : 0;
    return regex;
  }

  RegexMatch look(std::string_view text, bool /*with_all*/) const override {
    if (at_start_) return matches(text) ? RegexMatch::kYes : RegexMatch::kNo;
    for (std::size_t at = 0;; ++at) {
      if (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
      if (matches(text.substr(at))) return RegexMatch::kYes;
      if (at >= text.size()) return RegexMatch::kNo;
    }
  }

 private:
  struct Item {
    explicit Item(const PlainItem& from) : set(from.set), min(from.min), max(from.max) {
      for (std::uint32_t code = 0; code < 128; ++code) ascii[code] = set.has(code);
    }
    std::array<bool, 128> ascii{};
    CharSet set;
    std::uint64_t min;
    std::uint64_t max;
  };

  bool matches(std::string_view text) const {
    std::size_t at = 0;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto& item = items_[i];
      const auto most = !at_end_ && i + 1 == items_.size() ? item.min : item.max;
      std::uint64_t count = 0;
      while (count < most && at < text.size()) {
        const auto lead = static_cast<unsigned char>(text[at]);
        if (lead < 0x80) {
          if (!item.ascii[lead]) break;
          ++at;
        } else {
          const std::size_t size = lead < 0xE0 ? 2 : (lead < 0xF0 ? 3 : 4);
          std::uint32_t code = lead & (0xFFU >> (size + 1));
          for (std::size_t k = 1; k < size; ++k) code = (code << 6) | (static_cast<unsigned char>(text[at + k]) & 0x3F);
          if (!item.set.has(code)) break;
          at += size;
        }
        ++count;
      }
      if (count < item.min) return false;
    }
    return !at_end_ || at == text.size();
  }

  std::vector<Item> items_;
  bool at_start_ = false;
  bool at_end_ = false;
  std::uint64_t fixed_ = 0;
};

}  // namespace

Result<std::unique_ptr<const Regex>> Regex::compile(std::string_view pattern, const RegexLimits& limits) {
  if (pattern.size() > limits.max_bytes)
    return Error(ErrorCode::kTooLarge, fmt::format("regular expression: {} bytes, limit {}", pattern.size(), limits.max_bytes));
  const auto linear = translate(pattern, Engine::kRe2);
  if (!linear) return linear.error();
  if (auto plain = PlainRegex::make(*linear)) return plain;
  if (!linear->needs_backtracking) {
    auto regex = make_re2(*linear, limits);
    if (regex) return regex;
    // What RE2 does not know (a script's short name, a category) PCRE2 may. Not what is too large for it: that would have a verdict for
    // some texts and exceed its steps for others, unless there is but one way to go.
    if (regex.error().code() == ErrorCode::kTooLarge && !linear->is_one_way) return regex;
  }
  const auto bounded = translate(pattern, Engine::kPcre2);
  if (!bounded) return bounded.error();
  auto regex = make_pcre2(*bounded, limits);
  if (regex || regex.error().code() != ErrorCode::kUnsupported) return regex;
  // PCRE2 knows no look-behind of varying length.
  const auto apart = translate(pattern, Engine::kPcre2, true);
  if (!apart || apart->behind.empty() || !apart->can_be_apart) return regex;
  auto with_callouts = make_pcre2(*apart, limits);
  return with_callouts ? std::move(with_callouts) : std::move(regex);
}

bool is_ecma_regex(std::string_view pattern) { return translate(pattern, Engine::kNone).has_value(); }

}  // namespace setget::inline v0::detail::schema
