#include "validator/schema_keywords.hpp"

#include <utility>

#include "validator/name_map.hpp"

namespace setget::inline v0::detail::schema {
namespace {
constexpr auto k4 = Draft::kDraft4;
constexpr auto k6 = Draft::kDraft6;
constexpr auto k7 = Draft::kDraft7;
constexpr auto k2019 = Draft::kDraft201909;
constexpr auto k2020 = Draft::kDraft202012;
}  // namespace

const std::array<KeywordRule, kKeyCount> kKeywords = {{
    {"$ref", Key::kRef, k4, k2020, kCore, Holds::kNothing},
    {"$dynamicRef", Key::kDynamicRef, k2020, k2020, kCore, Holds::kNothing},
    {"$recursiveRef", Key::kRecursiveRef, k2019, k2019, kCore, Holds::kNothing},
    {"type", Key::kType, k4, k2020, kValidation, Holds::kNothing},
    {"enum", Key::kEnum, k4, k2020, kValidation, Holds::kNothing},
    {"const", Key::kConst, k6, k2020, kValidation, Holds::kNothing},
    {"multipleOf", Key::kMultipleOf, k4, k2020, kValidation, Holds::kNothing},
    {"maximum", Key::kMaximum, k4, k2020, kValidation, Holds::kNothing},
    {"exclusiveMaximum", Key::kExclusiveMaximum, k4, k2020, kValidation, Holds::kNothing},
    {"minimum", Key::kMinimum, k4, k2020, kValidation, Holds::kNothing},
    {"exclusiveMinimum", Key::kExclusiveMinimum, k4, k2020, kValidation, Holds::kNothing},
    {"maxLength", Key::kMaxLength, k4, k2020, kValidation, Holds::kNothing},
    {"minLength", Key::kMinLength, k4, k2020, kValidation, Holds::kNothing},
    {"pattern", Key::kPattern, k4, k2020, kValidation, Holds::kNothing},
    {"maxItems", Key::kMaxItems, k4, k2020, kValidation, Holds::kNothing},
    {"minItems", Key::kMinItems, k4, k2020, kValidation, Holds::kNothing},
    {"uniqueItems", Key::kUniqueItems, k4, k2020, kValidation, Holds::kNothing},
    {"maxContains", Key::kMaxContains, k2019, k2020, kValidation, Holds::kNothing},
    {"minContains", Key::kMinContains, k2019, k2020, kValidation, Holds::kNothing},
    {"maxProperties", Key::kMaxProperties, k4, k2020, kValidation, Holds::kNothing},
    {"minProperties", Key::kMinProperties, k4, k2020, kValidation, Holds::kNothing},
    {"required", Key::kRequired, k4, k2020, kValidation, Holds::kNothing},
    {"dependentRequired", Key::kDependentRequired, k2019, k2020, kValidation, Holds::kNothing},
    {"properties", Key::kProperties, k4, k2020, kApplicator, Holds::kMap},
    {"patternProperties", Key::kPatternProperties, k4, k2020, kApplicator, Holds::kMap},
    {"additionalProperties", Key::kAdditionalProperties, k4, k2020, kApplicator, Holds::kSchema},
    {"propertyNames", Key::kPropertyNames, k6, k2020, kApplicator, Holds::kSchema},
    {"items", Key::kItems, k4, k2020, kApplicator, Holds::kSchemaOrSchemas},
    {"prefixItems", Key::kPrefixItems, k2020, k2020, kApplicator, Holds::kSchemas},
    {"additionalItems", Key::kAdditionalItems, k4, k2019, kApplicator, Holds::kSchema},
    {"contains", Key::kContains, k6, k2020, kApplicator, Holds::kSchema},
    {"allOf", Key::kAllOf, k4, k2020, kApplicator, Holds::kSchemas},
    {"anyOf", Key::kAnyOf, k4, k2020, kApplicator, Holds::kSchemas},
    {"oneOf", Key::kOneOf, k4, k2020, kApplicator, Holds::kSchemas},
    {"not", Key::kNot, k4, k2020, kApplicator, Holds::kSchema},
    {"if", Key::kIf, k7, k2020, kApplicator, Holds::kSchema},
    {"then", Key::kThen, k7, k2020, kApplicator, Holds::kSchema},
    {"else", Key::kElse, k7, k2020, kApplicator, Holds::kSchema},
    {"dependentSchemas", Key::kDependentSchemas, k2019, k2020, kApplicator, Holds::kMap},
    // Split in two by 2019-09, whose metaschemas still describe it; kept for compatibility.
    {"dependencies", Key::kDependencies, k4, k2020, kApplicator, Holds::kMapOfSchemasOrNames},
    {"unevaluatedItems", Key::kUnevaluatedItems, k2019, k2020, kUnevaluated, Holds::kSchema},
    {"unevaluatedProperties", Key::kUnevaluatedProperties, k2019, k2020, kUnevaluated, Holds::kSchema},
    {"format", Key::kFormat, k4, k2020, kFormatVocabulary, Holds::kNothing},
    {"contentEncoding", Key::kContentEncoding, k7, k2020, kContent, Holds::kNothing},
    {"contentMediaType", Key::kContentMediaType, k7, k2020, kContent, Holds::kNothing},
    {"contentSchema", Key::kContentSchema, k2019, k2020, kContent, Holds::kSchema},
    {"definitions", Key::kDefinitions, k4, k2020, kCore, Holds::kMap},
    {"$defs", Key::kDefs, k2019, k2020, kCore, Holds::kMap},
}};

bool Dialect::knows(const KeywordRule& rule) const noexcept {
  return draft >= rule.first && draft <= rule.last && (vocabularies & rule.vocabulary) != 0;
}

const KeywordRule* find_keyword(std::string_view name, const Dialect& dialect) {
  static const NameMap index = [] {
    NameMap map;
    for (const auto& rule : kKeywords) map.add(rule.name);
    map.build();
    return map;
  }();
  const auto number = index.find(name);
  return number != NameMap::kNone && dialect.knows(kKeywords[number]) ? &kKeywords[number] : nullptr;
}

bool find_vocabulary(std::string_view uri, std::uint8_t& bits, bool& asserts_formats) {
  constexpr std::string_view kBase2019 = "https://json-schema.org/draft/2019-09/vocab/";
  constexpr std::string_view kBase2020 = "https://json-schema.org/draft/2020-12/vocab/";
  const bool old = uri.starts_with(kBase2019);
  if (!old && !uri.starts_with(kBase2020)) return false;
  const auto name = uri.substr(kBase2019.size());
  if (name == "core") {
    bits = kCore;
  } else if (name == "applicator") {
    // 2019-09 has unevaluated… among the applicators.
    bits = old ? kApplicator | kUnevaluated : kApplicator;
  } else if (name == "validation") {
    bits = kValidation;
  } else if (name == "meta-data") {
    bits = kMetaData;
  } else if (name == "content") {
    bits = kContent;
  } else if (old && name == "format") {
    bits = kFormatVocabulary;
  } else if (!old && name == "unevaluated") {
    bits = kUnevaluated;
  } else if (!old && (name == "format-annotation" || name == "format-assertion")) {
    bits = kFormatVocabulary;
    asserts_formats = name == "format-assertion";
  } else {
    return false;
  }
  return true;
}

bool find_draft(std::string_view uri, Draft& draft) noexcept {
  for (const auto one : {k4, k6, k7, k2019, k2020}) {
    if (uri == metaschema_uri(one)) return draft = one, true;
  }
  return false;
}

std::string_view metaschema_uri(Draft draft) noexcept {
  switch (draft) {
    case k4:
      return "http://json-schema.org/draft-04/schema";
    case k6:
      return "http://json-schema.org/draft-06/schema";
    case k7:
      return "http://json-schema.org/draft-07/schema";
    case k2019:
      return "https://json-schema.org/draft/2019-09/schema";
    case k2020:
      break;
  }
  return "https://json-schema.org/draft/2020-12/schema";
}

}  // namespace setget::inline v0::detail::schema
