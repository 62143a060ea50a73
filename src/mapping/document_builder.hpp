// Builds the nodes of one document from the places of its tokens. Thread rule: one thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>

#include "mapping/arena.hpp"
#include "mapping/node.hpp"

namespace setget::inline v0::jmespath::detail {

// What building needs besides the document, kept from one to the next.
struct BuildStack {
  struct Frame {
    const char* start = nullptr;
    std::size_t first_value = 0;
    std::size_t first_name = 0;
    bool object = false;
  };
  std::vector<Frame> frames;
  std::vector<Value> values;
  std::vector<Name> names;
  std::vector<std::uint32_t> hashes;  // of those names
};

class DocumentBuilder {
 public:
  // `tokens`: where in `text` each operator, string, number and word starts, in order.
  DocumentBuilder(std::string_view text, std::span<const std::uint32_t> tokens, std::size_t max_depth, Arena& arena, BuildStack& stack)
      : text_(text), tokens_(tokens), max_depth_(max_depth), arena_(&arena), stack_(&stack) {}
  // The root; nothing: see error().
  std::optional<Value> build();
  const Error& error() const { return *error_; }

 private:
  enum class Next : std::uint8_t { kValue, kFirstName, kName, kFirstValue, kAfter, kDone, kFailed };

  Next value();
  Next name();
  Next after();
  Next open(bool object);
  Next close();
  Next scalar();
  std::optional<Value> string();
  Next add(const Value& value);
  const Block* block(const BuildStack::Frame& frame, std::size_t count);
  void keep_last_of_repeated(std::size_t first_name, std::size_t first_value);
  void keep_last_sorted(std::size_t first_name, std::size_t first_value);
  void drop_marked(std::size_t first_name, std::size_t first_value, const std::vector<bool>& dropped);

  char peek() const noexcept { return at_ < tokens_.size() ? text_[tokens_[at_]] : '\0'; }
  // The token at hand, without the white space behind it.
  std::string_view token() const noexcept;
  Next fail(std::string message);

  std::string_view text_;
  std::span<const std::uint32_t> tokens_;
  std::size_t max_depth_;
  Arena* arena_;
  BuildStack* stack_;
  std::size_t at_ = 0;  // in tokens_
  std::optional<Error> error_;
};

}  // namespace setget::inline v0::jmespath::detail
