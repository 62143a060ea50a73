// Formats of JSON Schema. Private to the validator. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include <setget/json_schema.hpp>

namespace setget::inline v0::detail::schema {

using FormatCheck = bool (*)(std::string_view text);

// What a check takes of the budget of an evaluation, for 16 bytes of text.
std::uint64_t format_weight(FormatCheck check) noexcept;

// The check of a format that this draft defines; null for others, which are annotations.
FormatCheck find_format(std::string_view name, json_schema::Draft draft) noexcept;

bool is_date_time(std::string_view text) noexcept;
bool is_date(std::string_view text) noexcept;
bool is_time(std::string_view text) noexcept;
bool is_duration(std::string_view text) noexcept;
bool is_email(std::string_view text) noexcept;
bool is_idn_email(std::string_view text) noexcept;
// Letters, digits and hyphens: RFC 1034 section 3.1 and RFC 1123 section 2.1. Drafts 4 and 6 ask for no more.
bool is_ldh_name(std::string_view text) noexcept;
// As above, and each A-label is one (RFC 5890 section 2.3.2.3): from draft 7 on.
bool is_hostname(std::string_view text);
bool is_idn_hostname(std::string_view text);
bool is_ipv4(std::string_view text) noexcept;
bool is_ipv6(std::string_view text) noexcept;
bool is_uri(std::string_view text) noexcept;
bool is_uri_reference(std::string_view text) noexcept;
bool is_iri(std::string_view text) noexcept;
bool is_iri_reference(std::string_view text) noexcept;
bool is_uri_template(std::string_view text) noexcept;
bool is_uuid(std::string_view text) noexcept;
bool is_json_pointer(std::string_view text) noexcept;
// Levels up, then "#" or a pointer: draft-handrews-relative-json-pointer-01 and -02, to which draft 7 and 2019-09 refer.
bool is_upward_json_pointer(std::string_view text) noexcept;
// The same with steps aside in between: draft-bhutton-relative-json-pointer-00, to which 2020-12 refers.
bool is_relative_json_pointer(std::string_view text) noexcept;

}  // namespace setget::inline v0::detail::schema
