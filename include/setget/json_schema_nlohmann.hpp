// Opt-in: nlohmann::json as the document or the schema. The host has nlohmann-json; setget's libraries do not show it.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include <setget/json_schema.hpp>

namespace setget::inline v0::json_schema {

// A copy as a Document. Errors: kTooLarge where it is nested deeper, kInvalidArgument for strings that are not UTF-8, numbers that are not
// finite, and binary values, which JSON has not.
inline Result<Document> to_document(const nlohmann::json& json, std::size_t max_depth = 256) {
  using Kind = nlohmann::json::value_t;
  Document::Builder builder(max_depth);
  bool known = true;
  // The builder refuses what is deeper; the recursion goes no further either.
  const auto add = [&](const auto& self, const nlohmann::json& value, std::size_t depth) -> void {
    switch (value.type()) {
      case Kind::null:
        return builder.null();
      case Kind::boolean:
        return builder.boolean(value.get<bool>());
      case Kind::number_integer:
        return builder.integer(value.get<std::int64_t>());
      case Kind::number_unsigned:
        return builder.unsigned_integer(value.get<std::uint64_t>());
      case Kind::number_float:
        return builder.number(value.get<double>());
      case Kind::string:
        return builder.string(value.get_ref<const std::string&>());
      case Kind::array:
        builder.begin_array();
        if (depth < max_depth) {
          for (const auto& item : value) self(self, item, depth + 1);
        }
        return builder.end_array();
      case Kind::object:
        builder.begin_object();
        if (depth < max_depth) {
          for (const auto& [name, item] : value.items()) {
            builder.name(name);
            self(self, item, depth + 1);
          }
        }
        return builder.end_object();
      default:
        known = false;
    }
  };
  add(add, json, 0);
  if (!known) return Error(ErrorCode::kInvalidArgument, "a binary or discarded value, which JSON has not");
  return std::move(builder).finish();
}

inline Result<bool> is_valid(const Validator& validator, const nlohmann::json& json) {
  const auto document = to_document(json, validator.limits().max_depth);
  if (!document) return document.error();
  return validator.is_valid(*document);
}

inline Result<Report> validate(const Validator& validator, const nlohmann::json& json) {
  const auto document = to_document(json, validator.limits().max_depth);
  if (!document) return document.error();
  return validator.validate(*document);
}

}  // namespace setget::inline v0::json_schema
