#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <limits>

#include "mapping/document_builder.hpp"
#include "mapping/json_string.hpp"

namespace setget::inline v0::jmespath {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this room\'s own names

// Where simdjson finds the tokens of a text. Its first stage also checks UTF-8, the ends of strings, and control characters in them; it
// reads nothing beyond the text.
class Tokens {
 public:
  // Nothing on an error: see problem_in().
  std::optional<std::span<const std::uint32_t>> find(std::string_view text) {
    if (!stage_ && (problem_ = simdjson::get_active_implementation()->create_dom_parser_implementation(0, 1, stage_)) != simdjson::SUCCESS)
      return std::nullopt;
    if (stage_->capacity() < text.size() && (problem_ = stage_->set_capacity(std::max(text.size(), kLeastBytes))) != simdjson::SUCCESS)
      return std::nullopt;
    problem_ = stage_->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), simdjson::stage1_mode::regular);
    if (problem_ != simdjson::SUCCESS) return std::nullopt;
    return std::span<const std::uint32_t>(stage_->structural_indexes.get(), stage_->n_structural_indexes);
  }
  // It knows only that something is wrong somewhere in the text, so what that is and where is looked for anew.
  Error problem_in(std::string_view text) const {
    if (problem_ == simdjson::MEMALLOC || problem_ == simdjson::CAPACITY)
      return Error(ErrorCode::kResourceExhausted, "no memory for a document of that size");
    const auto flaw = first_flaw(text);
    return Error(ErrorCode::kInvalidArgument, fmt::format("not JSON: {}", flaw.problem)).at_position(flaw.position);
  }
  // One huge document must not keep its memory on every thread for ever.
  void trim() {
    if (stage_ && stage_->capacity() > kKeptBytes) stage_.reset();
  }

 private:
  static constexpr std::size_t kLeastBytes = 16u << 10;
  static constexpr std::size_t kKeptBytes = 1u << 20;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage_;
  simdjson::error_code problem_ = simdjson::SUCCESS;
};

struct Scratch {
  Tokens tokens;
  BuildStack stack;
  void tidy() {
    constexpr std::size_t kKept = 1u << 14;
    tokens.trim();
    if (stack.values.capacity() > kKept || stack.names.capacity() > kKept) stack = {};
    stack.frames.clear();
    stack.values.clear();
    stack.names.clear();
    stack.hashes.clear();
  }
};

Scratch& local_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

}  // namespace

struct Document::State {
  Payload owner{};
  std::string_view text{};
  Arena arena{};
  Value root{};
};

namespace {

// Bytes that nodes take for each token: a member (its name, a colon, a value, a comma) needs the most.
constexpr std::size_t kBytesForToken = (sizeof(Value) + sizeof(Name) + 1) / 4 + 4;

template <class State>
Result<void> build(State& state, DocumentLimits limits) {
  const std::size_t most = std::min<std::size_t>(limits.max_bytes, std::numeric_limits<std::uint32_t>::max());
  if (state.text.size() > most)
    return Error(ErrorCode::kTooLarge, fmt::format("a document of {} bytes, limit {}", state.text.size(), most));
  Scratch& scratch = local_scratch();
  // Also where memory ends in between.
  struct Tidy {
    Scratch& all;
    ~Tidy() { all.tidy(); }
  } tidy{scratch};
  const auto tokens = scratch.tokens.find(state.text);
  if (!tokens) return scratch.tokens.problem_in(state.text);
  state.arena.reserve(tokens->size() * kBytesForToken + 64);
  DocumentBuilder builder(state.text, *tokens, std::min<std::size_t>(limits.max_depth, 1024), state.arena, scratch.stack);
  const auto root = builder.build();
  if (!root) return builder.error();
  state.root = *root;
  return {};
}

}  // namespace

Document::Document(std::unique_ptr<State> state) : root_(state->root), state_(std::move(state)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Result<Document> Document::parse(Payload text, DocumentLimits limits) {
  auto state = std::make_unique<State>();
  state->text = text.view();
  state->owner = std::move(text);
  if (auto built = build(*state, limits); !built) return built.error();
  return Document(std::move(state));
}

Result<Document> Document::parse_borrowed(std::string_view text, DocumentLimits limits) {
  auto state = std::make_unique<State>();
  state->text = text;
  if (auto built = build(*state, limits); !built) return built.error();
  return Document(std::move(state));
}

std::string_view Document::text() const noexcept { return state_->text; }

}  // namespace setget::inline v0::jmespath
