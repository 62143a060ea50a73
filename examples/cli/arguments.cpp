#include "arguments.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include <setget/ttl.hpp>

namespace cli {

namespace {

constexpr const char* kEmpty = "the value is empty (an unset variable of the shell?); give one, or leave it out";

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// A payload may be empty, and the cursor of a list's first page is.
bool may_be_empty(const CLI::Option& option) { return option.check_lname("payload") || option.check_lname("cursor"); }

void set_rules(CLI::App& app) {
  for (auto* option : app.get_options([](CLI::Option* each) { return takes_value(*each); })) {
    // One value each time, as it stands: CLI11 would cut "[a,b]" into two, and take the words behind the value for more of them.
    if (!option->get_positional()) option->allow_extra_args(false);
    // Before the option's own checks.
    if (!may_be_empty(*option))
      option->transform(CLI::Validator([](std::string& value) { return std::string(value.empty() ? kEmpty : ""); }, ""));
  }
  for (auto* command : app.get_subcommands([](CLI::App*) { return true; })) set_rules(*command);
}

const CLI::Option* find_option(const CLI::App* command, const std::string& name) {
  for (; command != nullptr; command = command->get_parent()) {
    if (const auto* option = command->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

// CLI11 reads `--reason= WORD` as `--reason WORD`, and `--all=` as `--all`: the empty value gets a place of its own.
std::vector<const char*> with_empty_values(const CLI::App& app, int argc, char** argv, std::deque<std::string>& names) {
  std::vector<const char*> words(argv, argv + argc);
  const auto* command = &app;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string word = words[i];
    if (word == "--") break;
    if (!word.starts_with('-')) {
      const auto named = command->get_subcommands([&](const CLI::App* each) { return each->check_name(word); });
      if (!named.empty()) command = named.front();
      continue;
    }
    const auto equals = word.find('=');
    const auto* option = find_option(command, word.substr(0, equals));
    if (option == nullptr) continue;
    if (equals == std::string::npos) {
      if (takes_value(*option)) ++i;  // whatever it looks like
    } else if (equals + 1 == word.size() && word.starts_with("--")) {
      if (!takes_value(*option)) throw CLI::ValidationError(word.substr(0, equals), kEmpty);
      words[i] = names.emplace_back(word, 0, equals).c_str();
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(++i), "");
    }
  }
  return words;
}

CLI::Validator number(const char* range, bool (*fits)(double)) {
  return CLI::Validator(
      [range, fits](std::string& text) {
        double value = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = problem == std::errc() && end == text.data() + text.size() && std::isfinite(value) && fits(value);
        return good ? std::string() : text + " is not a number " + range;
      },
      range);
}

}  // namespace

void parse(CLI::App& app, int argc, char** argv) {
  set_rules(app);
  std::deque<std::string> names;
  const auto words = with_empty_values(app, argc, argv, names);
  app.parse(static_cast<int>(words.size()), words.data());
}

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  const bool open = most == std::numeric_limits<std::uint64_t>::max();
  const std::string range =
      open ? "from " + std::to_string(least) + " up" : "from " + std::to_string(least) + " to " + std::to_string(most);
  return CLI::Validator(
      [least, most, range](std::string& text) {
        std::uint64_t value = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (problem != std::errc() || end != text.data() + text.size() || value < least || value > most)
          return text + " is not a whole number " + range;
        text = std::to_string(value);  // CLI11 would take 010 for eight
        return std::string();
      },
      range);
}

CLI::Validator number_above_zero() {
  return number("above 0", [](double value) { return value > 0; });
}

// Before anything is done: what is found out behind a set would look like one that was refused.
CLI::Validator length_of_time(bool lasting) {
  return CLI::Validator(
      [lasting](std::string& text) {
        const auto read = setget::parse_ttl(text);
        if (!read) return read.error().message();
        return std::string(read->is_never && !lasting ? "a length of time needs an end" : "");
      },
      "");
}

CLI::Validator number_from_zero() {
  return number("from 0 up", [](double value) { return value >= 0; });
}

}  // namespace cli
