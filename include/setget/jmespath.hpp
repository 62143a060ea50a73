// JMESPath: expressions that are compiled once and evaluated over JSON without copying parts of it. The language is that of jmespath.org,
// complete; `let` is an option. docs/mapping.md says where the specification leaves a choice and what is chosen.
// Thread rule: Document, Value and Expression are immutable and may be used from any thread; a Workspace belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/payload.hpp>

namespace setget::inline v0::jmespath {

namespace detail {
struct Block;
struct Member;
struct Program;
struct Access;
class Arena;
}  // namespace detail

enum class Type : std::uint8_t { kNull, kBoolean, kNumber, kString, kArray, kObject };
// "null", "boolean", "number", "string", "array", "object".
SETGET_API std::string_view to_string(Type type) noexcept;

// A JSON value: a reference into a Document or a Workspace, 16 bytes, free to copy. Valid while what it refers to is alive and unchanged.
class SETGET_API Value {
 public:
  Value() = default;  // null
  static Value of(bool truth) noexcept;
  static Value of(std::int64_t integer) noexcept;
  static Value of(double number) noexcept;  // what is neither finite nor a number becomes null
  // Refers to `text`, which must be UTF-8. Of a text beyond 4 GiB: null.
  static Value of(std::string_view text) noexcept;

  Type type() const noexcept;
  bool is_null() const noexcept { return type() == Type::kNull; }
  // What JMESPath takes for true: everything but null, false and what is empty (a string, an array, an object). 0 is true.
  bool truthy() const noexcept;
  // Each answers nothing where the value is of another type.
  std::optional<bool> boolean() const noexcept;
  std::optional<std::string_view> string() const noexcept;
  // The number, if it is an integer within 64 bits (1.0 and 1e2 are integers too).
  std::optional<std::int64_t> integer() const noexcept;
  // The nearest double; infinite beyond its range.
  std::optional<double> number() const noexcept;
  // Elements of an array, members of an object; 0 for all else.
  std::size_t size() const noexcept;
  // Element `index` of an array, the value of member `index` of an object in document order. Precondition: index < size().
  Value at(std::size_t index) const noexcept;
  // Precondition: an object, index < size().
  std::string_view name(std::size_t index) const noexcept;
  // The member of that name; nothing where there is none or this is no object.
  std::optional<Value> find(std::string_view name) const noexcept;

  // Where the value is a part of a document (or its whole): the bytes it was read from. Nothing for values that an expression made.
  std::optional<std::string_view> source() const noexcept;
  // Compact JSON. Numbers of a document keep their digits; names that a document repeats are written once, with their last value.
  // kTooLarge: it would be longer than `max_bytes` (an expression can repeat a value without end and hold it in a few bytes).
  Result<std::string> json(std::size_t max_bytes = 64u << 20) const;
  // Deep; 1 equals 1.0, the order of members does not count. Takes as long as writing both.
  friend SETGET_API bool operator==(const Value& a, const Value& b) noexcept;

 private:
  friend struct detail::Access;
  // "Read": parts of a document, which know where they came from.
  enum class Kind : std::uint8_t {
    kNull,
    kFalse,
    kTrue,
    kInteger,
    kUnsigned,
    kDouble,
    kString,
    kArray,
    kObject,
    kReadNull,
    kReadFalse,
    kReadTrue,
    kReadNumber,
    kReadString,
    kReadEscaped,
    kReadArray,
    kReadObject,
  };
  Kind kind_ = Kind::kNull;
  std::uint32_t size_ = 0;
  union Content {
    std::int64_t integer;
    std::uint64_t natural;
    double number;
    const char* text;
    const Value* elements;
    const detail::Member* members;
    const detail::Block* block;
  } content_{0};
};

struct DocumentLimits {
  std::size_t max_bytes = 64u << 20;  // of the text; never more than 4 GiB - 1
  std::size_t max_depth = 1024;       // of nested arrays and objects; at most 1024
};

// A parsed JSON text (RFC 8259, UTF-8). Strings and numbers stay where they are in the text. Of a name
// that an object repeats the last value counts.
class SETGET_API Document {
 public:
  // Errors: kInvalidArgument with the position for what is not JSON (half a surrogate pair included), kTooLarge for the limits.
  static Result<Document> parse(Payload text, DocumentLimits limits = {});
  // Without a copy: `text` must stay alive and unchanged while the document is used.
  static Result<Document> parse_borrowed(std::string_view text, DocumentLimits limits = {});
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  Value root() const noexcept { return root_; }
  std::string_view text() const noexcept;

 private:
  struct State;
  explicit Document(std::unique_ptr<State> state);
  Value root_;
  std::unique_ptr<State> state_;
};

// Where evaluation keeps what it makes. Reuse one for many evaluations: it keeps its memory.
class SETGET_API Workspace {
 public:
  Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;
  ~Workspace();
  // Forgets all values made in it; keeps up to 1 MiB of memory for the next ones.
  void clear() noexcept;

  // Values to put around documents, as inputs of expressions. Names are not copied, nor are the values; texts are not copied either. Of a
  // repeated name the first counts. Precondition: up to 2^32-1 of them.
  Value object(std::span<const std::pair<std::string_view, Value>> members);
  Value array(std::span<const Value> elements);
  // Copies the text into the workspace.
  Value copy(std::string_view text);

 private:
  friend struct detail::Access;
  std::unique_ptr<detail::Arena> arena_;
};

struct Options {
  bool let_expressions = false;               // `let $x = a, $y = b in …` (JMESPath Community; JEP 18)
  std::size_t max_expression_bytes = 65'536;  // of the expression
  std::size_t max_expression_depth = 256;     // of nested parts of it; at most 512
  // Of one evaluation: steps (a part of the expression on one value, an element looked at, a comparison, 64 bytes of a text, a name or the
  // digits of a number) and bytes made in the workspace. Beyond: kTooLarge.
  std::uint64_t max_steps = 10'000'000;
  std::size_t max_result_bytes = 64u << 20;
};

// A compiled expression. Cheap to copy.
class SETGET_API Expression {
 public:
  // Errors: kInvalidArgument with the byte position in the expression; the one reason has the kind of mistake as its code: "syntax",
  // "unknown-function", "invalid-arity", "invalid-value" (a slice with step 0), "undefined-variable". kTooLarge: the limits.
  static Result<Expression> compile(std::string_view text, Options options = {});

  // The expression's value for `input`: a reference into the input, the expression or `workspace`, valid until one of them ends or the
  // workspace is cleared. Errors: kInvalidArgument with the position of the part that failed and the reason code "invalid-type" or
  // "invalid-value"; kTooLarge: the limits of Options. Allocates nothing once the workspace has grown.
  Result<Value> evaluate(const Value& input, Workspace& workspace) const&;
  Result<Value> evaluate(const Document& input, Workspace& workspace) const& { return evaluate(input.root(), workspace); }
  // The value would outlive the expression that it may refer to.
  Result<Value> evaluate(const Value& input, Workspace& workspace) const&& = delete;
  Result<Value> evaluate(const Document& input, Workspace& workspace) const&& = delete;

  std::string_view text() const noexcept;

 private:
  explicit Expression(std::shared_ptr<const detail::Program> program);
  std::shared_ptr<const detail::Program> program_;
};

}  // namespace setget::inline v0::jmespath
