// Document: JSON parsed once and read by any number of validators (and by the worker after the door). Compact: a tape of words and a buffer
// of strings, in simdjson's documented tape format (github.com/simdjson/simdjson, doc/tape.md), so that a simdjson DOM is used as it is.
// Numbers keep their exact value. Thread rule: as any value; const access from any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <setget/error.hpp>
#include <setget/export.hpp>

namespace setget::inline v0::json_schema {

// Words and strings in simdjson's tape format, owned by somebody else (see json_schema_simdjson.hpp). What numbers a parser has rounded
// stays rounded. Both must be readable for 32 bytes beyond their end.
struct DocumentView {
  const std::uint64_t* tape = nullptr;  // [0] is the root word
  const std::uint8_t* strings = nullptr;
};

class SETGET_API Document {
 public:
  Document() noexcept;  // null
  ~Document();
  // What was moved from is null.
  Document(Document&& other) noexcept;
  Document& operator=(Document&& other) noexcept;

  // Replaces the content; memory is used again. Errors: kInvalidArgument with position() where it is not JSON (RFC 8259), kTooLarge where
  // it is nested deeper than max_depth or holds a number whose exponent has more than 17 digits. After an error the document is empty
  // (null).
  Result<void> parse(std::string_view json, std::size_t max_depth = 256);

  // Values one by one, for trees that exist already (nlohmann::json: json_schema_nlohmann.hpp). Every call is checked: a name comes before
  // each value of an object, what is begun is ended. finish() gives kInvalidArgument where that was not so, kTooLarge beyond max_depth.
  class SETGET_API Builder {
   public:
    explicit Builder(std::size_t max_depth = 256);
    ~Builder();
    Builder(Builder&&) noexcept;
    Builder& operator=(Builder&&) noexcept;
    void null();
    void boolean(bool value);
    void integer(std::int64_t value);
    void unsigned_integer(std::uint64_t value);
    void number(double value);                       // must be finite
    void number_text(std::string_view json_number);  // any JSON number, exact
    void string(std::string_view utf8);              // must be UTF-8
    void begin_object();
    void name(std::string_view utf8);
    void end_object();
    void begin_array();
    void end_array();
    Result<Document> finish() &&;

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

  // Valid until the document is written, moved or destroyed.
  const DocumentView& view() const noexcept { return view_; }
  // The tag of its root value in that format: '{', '[', '"', 'l', 'u', 'd', 't', 'f' or 'n'. Where that decides, nothing else is read.
  char root_tag() const noexcept { return root_tag_; }

  struct Impl;  // private
  // Null where the numbers of the tape are exact whatever the text was: of tiny documents, and where nothing has been parsed.
  const Impl* impl() const noexcept { return is_tiny() ? nullptr : impl_.get(); }

 private:
  friend class Builder;
  static constexpr std::size_t kTinyWords = 12;
  bool is_tiny() const noexcept { return view_.strings == reinterpret_cast<const std::uint8_t*>(tiny_); }
  void take(Document& other) noexcept;

  // Most tiny documents (a few names and numbers) find room here, so that a validator waits for no other memory: the strings at its
  // beginning, the tape at its end, where that of a number or a word shares a cache line with what leads to it. Behind both there is
  // what a view wants to be readable.
  alignas(64) std::uint64_t tiny_[kTinyWords];
  DocumentView view_{};
  std::unique_ptr<Impl> impl_;
  char root_tag_ = 'n';
};

}  // namespace setget::inline v0::json_schema
