// The rule for labels of names that hold letters written from right to left (RFC 5893 section 2), as far as it looks beyond one label or
// at digits; libidn2 does the rest label by label. Private to the validator.
#pragma once

#include <string_view>

namespace setget::inline v0::detail::schema {

// What one U-label brings into its name.
struct Direction {
  bool right_to_left = false;  // a letter or digit of class R, AL or AN
  bool begins_weak = false;    // with a digit or a sign, which has no direction of its own
  bool mixes_digits = false;   // European and Arabic ones
};
// `label` is UTF-8.
Direction direction_of(std::string_view label) noexcept;

// Of all labels of a name together.
class BidiName {
 public:
  void add(const Direction& label) noexcept {
    right_to_left_ = right_to_left_ || label.right_to_left;
    weak_ = weak_ || label.begins_weak;
    mixed_ = mixed_ || (label.right_to_left && label.mixes_digits);
  }
  bool holds() const noexcept { return !right_to_left_ || (!weak_ && !mixed_); }

 private:
  bool right_to_left_ = false;
  bool weak_ = false;
  bool mixed_ = false;
};

}  // namespace setget::inline v0::detail::schema
