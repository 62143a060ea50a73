#include <setget/jmespath.hpp>

#include <algorithm>

#include "mapping/arena.hpp"
#include "mapping/interpreter.hpp"
#include "mapping/node.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath {

using namespace detail;  // NOLINT(google-build-using-namespace): this room\'s own names

namespace detail {
Arena& Access::arena(Workspace& workspace) { return *workspace.arena_; }
}  // namespace detail

bool operator==(const Value& a, const Value& b) noexcept { return equal(a, b, nullptr); }

Workspace::Workspace() : arena_(std::make_unique<Arena>()) {}
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;
Workspace::~Workspace() = default;
void Workspace::clear() noexcept { arena_->clear(); }

Value Workspace::object(std::span<const std::pair<std::string_view, Value>> members) {
  auto* out = arena_->take<Member>(members.size());
  std::transform(members.begin(), members.end(), out, [](const auto& member) { return Member{member.first, member.second}; });
  return Access::of_members(out, members.size());
}

Value Workspace::array(std::span<const Value> elements) {
  auto* out = arena_->take<Value>(elements.size());
  std::copy(elements.begin(), elements.end(), out);
  return Access::of_elements(out, elements.size());
}

Value Workspace::copy(std::string_view text) { return Value::of(std::string_view(arena_->copy(text), text.size())); }

Expression::Expression(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

Result<Expression> Expression::compile(std::string_view text, Options options) {
  auto program = compile_program(text, options);
  if (!program) return program.error();
  return Expression(*std::move(program));
}

Result<Value> Expression::evaluate(const Value& input, Workspace& workspace) const& {
  Arena& arena = Access::arena(workspace);
  arena.stack.clear();
  try {
    Interpreter interpreter(*program_, arena);
    const Value value = interpreter.run(input);
    if (interpreter.failure()) return *interpreter.failure();
    return value;
  } catch (const Failure& failure) {
    return failure.error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kResourceExhausted, "no memory for the evaluation");
  }
}

std::string_view Expression::text() const noexcept { return program_->text; }

}  // namespace setget::inline v0::jmespath
