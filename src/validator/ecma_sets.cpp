// Sets of characters and names of properties that patterns speak of.
#include <algorithm>
#include <array>
#include <utility>

#include "validator/ecma_translator.hpp"

namespace setget::inline v0::detail::schema {

CharSet digits() {
  CharSet set;
  set.add('0', '9');
  return set;
}
CharSet word_characters() {
  auto set = digits();
  set.add('A', 'Z');
  set.add('a', 'z');
  set.add('_', '_');
  return set;
}
CharSet line_ends() {
  CharSet set;
  set.add('\n', '\n');
  set.add('\r', '\r');
  set.add(0x2028, 0x2029);
  return set;
}
// WhiteSpace and LineTerminator of ECMA-262, sections 12.2 and 12.3.
CharSet spaces() {
  auto set = line_ends();
  for (const std::uint32_t code : {0x09U, 0x0BU, 0x0CU, 0x20U, 0xA0U, 0x1680U, 0x202FU, 0x205FU, 0x3000U, 0xFEFFU}) set.add(code, code);
  set.add(0x2000, 0x200A);
  return set;
}

namespace {

// Names of general categories (Unicode, PropertyValueAliases.txt).
constexpr std::array<std::pair<std::string_view, std::string_view>, 45> kCategories = {{
    {"Cased_Letter", "LC"},
    {"Close_Punctuation", "Pe"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
    {"L", "L"},
    {"LC", "LC"},
    {"N", "N"},
}};
constexpr std::array<std::string_view, 36> kShortCategories = {"C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu",
                                                               "M",  "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe",
                                                               "Pf", "Pi", "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zs"};

}  // namespace

std::optional<std::string_view> category(std::string_view name) {
  if (name == "Zp") return name;
  if (std::ranges::find(kShortCategories, name) != kShortCategories.end()) return name;
  const auto* found = std::ranges::find_if(kCategories, [&](const auto& entry) { return entry.first == name; });
  if (found == kCategories.end()) return std::nullopt;
  return found->second;
}

}  // namespace setget::inline v0::detail::schema
