#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "validator/regex_engines.hpp"

namespace setget::inline v0::detail::schema {
namespace {

struct FreePcre2 {
  void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
  void operator()(pcre2_compile_context* context) const noexcept { pcre2_compile_context_free(context); }
  void operator()(pcre2_match_context* context) const noexcept { pcre2_match_context_free(context); }
  void operator()(pcre2_match_data* data) const noexcept { pcre2_match_data_free(data); }
};

struct Behind {
  std::unique_ptr<const RegexEnd> end{};
  bool negative = false;
};

// What a callout needs to know of the search that it is part of.
struct Search {
  std::string_view text;
  const std::vector<Behind>& behind;
  std::uint64_t left;    // bytes that may be read without a step
  std::size_t from = 0;  // where the last Callout::kBegin or kEnd was
};

// What is read for a callout with a text.
std::uint64_t reads(const pcre2_callout_block& block, std::string_view text) {
  const std::string_view what(reinterpret_cast<const char*>(block.callout_string), block.callout_string_length);
  std::uint64_t number = 0;
  std::uint64_t times = 1;
  const auto read = std::from_chars(what.data() + 1, what.data() + what.size(), number);
  if (what[0] == 'b') {
    std::from_chars(read.ptr + 1, what.data() + what.size(), times);
    return std::min<std::uint64_t>(number, block.current_position * times);
  }
  if (number >= block.capture_top || block.offset_vector[2 * number] == PCRE2_UNSET) return 0;
  const auto* const group = block.offset_vector + 2 * number;
  const auto was = text.substr(group[0], std::min(group[1] - group[0], text.size() - block.current_position));
  if (what[0] == 'R') return was.size();
  const auto is = text.substr(block.current_position, was.size());
  return static_cast<std::uint64_t>(std::ranges::mismatch(was, is).in1 - was.begin());
}

// As pcre2callout(3): 0 goes on, 1 fails here and tries what else there is, a negative number ends the search.
int called_out(pcre2_callout_block* block, void* data) {
  auto& search = *static_cast<Search*>(data);
  const auto at = block->current_position;
  const auto number = block->callout_number;
  const bool is_behind = number > 0 && number <= Callout::kMostBehind;
  std::uint64_t cost = at;
  if (number == 0) {
    cost = reads(*block, search.text);
  } else if (number == Callout::kBegin || number == Callout::kEnd) {
    const auto from = std::exchange(search.from, at);
    cost = at > from ? at - from : 0;
  } else if (!is_behind) {
    cost = std::uint64_t{1} << (number - Callout::kReads);
  }
  if (cost >= search.left) return PCRE2_ERROR_CALLOUT;
  search.left -= cost + 1;
  if (!is_behind) return 0;
  const auto& behind = search.behind[number - 1];
  return behind.end->is_at(search.text, at) == behind.negative ? 1 : 0;
}

class Pcre2Regex final : public Regex {
 public:
  Pcre2Regex(pcre2_code* code, std::vector<Behind> behind, const Translated& from, const RegexLimits& limits)
      : Regex(limits.max_steps),
        code_(code),
        behind_(std::move(behind)),
        calls_always_(from.reads_much || !behind_.empty()),
        weight_(from.weight),
        limits_(limits) {}
  RegexMatch look(std::string_view text, bool with_all) const override {
    thread_local const std::unique_ptr<pcre2_match_data, FreePcre2> data(pcre2_match_data_create(1, nullptr));
    thread_local const std::unique_ptr<pcre2_match_context, FreePcre2> context(pcre2_match_context_create(nullptr));
    if (!data || !context) throw std::bad_alloc();
    constexpr std::uint32_t kFew = 2000;
    const auto light = (with_all ? limits_.max_steps : std::min(limits_.max_steps, kFew)) +
                       static_cast<std::uint32_t>(std::min<std::size_t>(text.size() * 8, 1U << 30));
    const auto steps = std::max(light / weight_, 1U);
    pcre2_set_match_limit(context.get(), steps);
    pcre2_set_depth_limit(context.get(), steps);
    // Kibibytes of the backtracking stack, which is on the heap.
    pcre2_set_heap_limit(context.get(), static_cast<std::uint32_t>(limits_.max_memory / 1024));
    // A byte costs RE2 a tenth of what a step costs PCRE2.
    Search search{.text = text, .behind = behind_, .left = std::uint64_t{10} * steps};
    // Of a short text a step cannot read much.
    constexpr std::size_t kShort = 256;
    pcre2_set_callout(context.get(), calls_always_ || text.size() > kShort ? called_out : nullptr, &search);
    const auto result =
        pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (result >= 0) return RegexMatch::kYes;
    return result == PCRE2_ERROR_NOMATCH ? RegexMatch::kNo : RegexMatch::kOverBudget;
  }

 private:
  std::unique_ptr<pcre2_code, FreePcre2> code_;
  std::vector<Behind> behind_;
  bool calls_always_;
  std::uint32_t weight_;
  RegexLimits limits_;
};

pcre2_code* compile(const std::string& pattern, bool has_callouts, pcre2_compile_context* context, int& code) {
  PCRE2_SIZE at = 0;
  // A repetition that gives nothing back would be one step however long it is, and that from each place where a match may begin.
  auto options = PCRE2_UTF | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_POSSESS;
  // Callouts that refuse need every way to be tried, also those that end in the same.
  if (has_callouts) options |= PCRE2_NO_START_OPTIMIZE | PCRE2_NO_DOTSTAR_ANCHOR;
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &code, &at, context);
}

}  // namespace

Result<std::unique_ptr<const Regex>> make_pcre2(const Translated& from, const RegexLimits& limits) {
  const auto& pattern = from.pattern;
  std::vector<Behind> ends;
  for (const auto& one : from.behind) {
    ends.push_back({.end = make_re2_end(one.pattern, limits), .negative = one.negative});
    if (!ends.back().end) return Error(ErrorCode::kUnsupported, "regular expression: a look-behind that RE2 does not take");
  }
  const std::unique_ptr<pcre2_compile_context, FreePcre2> context(pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_parens_nest_limit(context.get(), 250);
  int code = 0;
  std::unique_ptr<pcre2_code, FreePcre2> compiled(compile(pattern, !ends.empty(), context.get(), code));
  if (compiled) {
    std::uint32_t found = 0;
    pcre2_pattern_info(compiled.get(), PCRE2_INFO_ALLOPTIONS, &found);
    // PCRE2 counts steps anew from every place where a match may begin: written as one match from the start, all of them count together.
    if ((found & PCRE2_ANCHORED) == 0) compiled.reset(compile("\\A(?s:.*?)(?:" + pattern + ")", !ends.empty(), context.get(), code));
  }
  if (compiled) return std::unique_ptr<const Regex>(std::make_unique<Pcre2Regex>(compiled.release(), std::move(ends), from, limits));
  std::array<PCRE2_UCHAR, 200> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  const std::string message(reinterpret_cast<const char*>(text.data()));
  // 120: too large; 105, 161: numbers too big.
  const bool large = code == 105 || code == 120 || code == 161 || code == 186;
  return Error(large ? ErrorCode::kTooLarge : ErrorCode::kUnsupported, fmt::format("regular expression: {}", message));
}

}  // namespace setget::inline v0::detail::schema
