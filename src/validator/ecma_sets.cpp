// Sets of characters that patterns speak of.
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

}  // namespace setget::inline v0::detail::schema
