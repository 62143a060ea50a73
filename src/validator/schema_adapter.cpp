// The schema as a Validator of the pipeline.
#include <fmt/format.h>

#include <setget/json_schema.hpp>
#include <setget/validator.hpp>

#include "validator/media_type.hpp"

namespace setget::inline v0::json_schema {
namespace {

class SchemaValidator final : public setget::Validator {
 public:
  explicit SchemaValidator(json_schema::Validator validator) : validator_(std::move(validator)) {}

  std::vector<Reason> validate(const Command& command) const override {
    if (command.kind != CommandKind::kSet || !detail::is_json_content(command.content_type)) return {};
    const auto valid = validator_.is_valid(command.payload.view());
    if (!valid) return {of(valid.error())};
    if (*valid) return {};
    // Twice only for what is refused.
    auto report = validator_.validate(command.payload.view());
    if (!report) return {of(report.error())};
    return report->reasons("/payload");
  }

 private:
  static Reason of(const Error& error) {
    const bool syntax = error.code() == ErrorCode::kInvalidArgument;
    return {.code = syntax ? "json_syntax" : "schema_limit", .message = error.message(), .pointer = "/payload"};
  }
  json_schema::Validator validator_;
};

}  // namespace

std::shared_ptr<const setget::Validator> schema_validator(Validator validator) {
  return std::make_shared<SchemaValidator>(std::move(validator));
}

}  // namespace setget::inline v0::json_schema
