// What each draft calls a keyword, and the dialects that schemas make of them by $vocabulary. Private to the validator.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <setget/json_schema.hpp>

namespace setget::inline v0::detail::schema {

using json_schema::Draft;

enum class Key : std::uint8_t {
  kRef,
  kDynamicRef,
  kRecursiveRef,
  kType,
  kEnum,
  kConst,
  kMultipleOf,
  kMaximum,
  kExclusiveMaximum,
  kMinimum,
  kExclusiveMinimum,
  kMaxLength,
  kMinLength,
  kPattern,
  kMaxItems,
  kMinItems,
  kUniqueItems,
  kMaxContains,
  kMinContains,
  kMaxProperties,
  kMinProperties,
  kRequired,
  kDependentRequired,
  kProperties,
  kPatternProperties,
  kAdditionalProperties,
  kPropertyNames,
  kItems,
  kPrefixItems,
  kAdditionalItems,
  kContains,
  kAllOf,
  kAnyOf,
  kOneOf,
  kNot,
  kIf,
  kThen,
  kElse,
  kDependentSchemas,
  kDependencies,
  kUnevaluatedItems,
  kUnevaluatedProperties,
  kFormat,
  kContentEncoding,
  kContentMediaType,
  kContentSchema,
  kDefinitions,
  kDefs,
  kCount
};
inline constexpr std::size_t kKeyCount = static_cast<std::size_t>(Key::kCount);

enum Vocabulary : std::uint8_t {
  kCore = 1,
  kApplicator = 2,
  kUnevaluated = 4,
  kValidation = 8,
  kMetaData = 16,
  kFormatVocabulary = 32,
  kContent = 64,
  kEveryVocabulary = 127
};

// How the schemas within a keyword lie.
enum class Holds : std::uint8_t { kNothing, kSchema, kSchemas, kSchemaOrSchemas, kMap, kMapOfSchemasOrNames };

struct KeywordRule {
  std::string_view name;
  Key key;
  Draft first;
  Draft last;
  std::uint8_t vocabulary;
  Holds holds;
};
extern const std::array<KeywordRule, kKeyCount> kKeywords;

struct Dialect {
  Draft draft = Draft::kDraft202012;
  std::uint8_t vocabularies = kEveryVocabulary;
  bool asserts_formats = false;

  bool knows(const KeywordRule& rule) const noexcept;
};

// The rule for a name (which stands in a tape's strings) in this dialect, or null.
const KeywordRule* find_keyword(std::string_view name, const Dialect& dialect);

// What a vocabulary's URI stands for: bits, and whether formats are asserted. False where it is not known.
bool find_vocabulary(std::string_view uri, std::uint8_t& bits, bool& asserts_formats);

// The metaschemas that come with the library: text by URI (without fragment), or empty.
std::string_view builtin_schema(std::string_view uri) noexcept;
// Of the metaschema of a draft.
std::string_view metaschema_uri(Draft draft) noexcept;
// The draft whose metaschema this is, by its URI without an empty fragment.
bool find_draft(std::string_view uri, Draft& draft) noexcept;

}  // namespace setget::inline v0::detail::schema
