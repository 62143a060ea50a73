// JsonScan: one pass over JSON text that proves RFC 8259 grammar and the limits, and says where they break. Private to the validator.
//
// Why not simdjson's parser: 3.0.1 refuses integers over 64 bits, keeps duplicate names silently and gives no byte offset for most errors,
// so every document would have to be walked a second time; see docs/adr/0010-json-check.md for the comparison.
// Thread rule: one object per thread; reused objects do not allocate for documents like those before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>
#include <setget/validator.hpp>

namespace setget::inline v0::detail {

class JsonScan {
 public:
  // All violations, at most limits.max_reasons; a broken grammar ends the scan. Pointers start with `prefix`.
  std::vector<Reason> run(std::string_view text, const Limits& limits, std::string_view prefix);

 private:
  struct Frame {
    bool object = false;
    std::size_t index = 0;       // of the element being read, in arrays
    std::size_t first_name = 0;  // where this object's names start in names_
  };
  // A name as it is after unescaping: a part of the text, or of decoded_ where it has escapes.
  struct Name {
    std::uint64_t fingerprint = 0;
    std::size_t at = 0;  // of the opening quote in the text
    std::size_t begin = 0;
    std::size_t size = 0;
    bool decoded = false;
  };
  enum class Next : std::uint8_t { kValue, kFirstValue, kName, kFirstName, kAfterValue, kDone, kFailed };

  Next value(bool may_close);
  Next name(bool may_close);
  Next after_value();
  Next open(bool object);
  Next close();
  bool string(bool& escaped);
  bool escape();
  bool hex4(unsigned& code);
  bool number();
  void check_number(std::size_t start, bool integer);
  bool literal(std::string_view word);
  void skip_space() noexcept;
  void remember_name(std::size_t quote, bool escaped);
  bool names_may_repeat() const;
  void check_names();
  std::string_view text_of(const Name& name) const noexcept;
  std::string pointer() const;
  Next fail(std::string_view what);
  bool broken(std::string_view what);
  void add(std::string_view code, std::size_t at, std::string_view what, std::string where);

  std::string_view text_;
  const Limits* limits_ = nullptr;
  std::string_view prefix_;
  std::size_t at_ = 0;
  std::vector<Frame> frames_;
  std::vector<Name> names_;
  std::string decoded_;
  std::vector<Reason> reasons_;
};

}  // namespace setget::inline v0::detail
