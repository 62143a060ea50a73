#include "validator/schema_registry.hpp"

#include <charconv>

#include <fmt/format.h>

#include "validator/json_reader.hpp"

namespace setget::inline v0::detail::schema {
namespace {

constexpr std::string_view kDefaultBase = "json-schema:///";
// Each resource has a URI of its own, whole, however little of it its $id says: so neither one nor all of them together may be long.
constexpr std::size_t kMostUriBytes = 8192;
constexpr std::size_t kUriShare = 8;  // bytes of URIs for each byte of schema, and
constexpr std::size_t kFreeUriBytes = std::size_t{1} << 20;

std::string_view without_empty_fragment(std::string_view uri) noexcept {
  if (!uri.empty() && uri.back() == '#') uri.remove_suffix(1);
  return uri;
}

std::string without_fragment(UriReference uri) {
  uri.fragment.reset();
  return uri.to_string();
}

// A name in quotes where `at` is a string; else empty.
std::string_view string_at(const Tape& tape, std::size_t at) noexcept {
  return at != 0 && tag_of(tape.words[at]) == '"' ? text_at(tape, at) : std::string_view();
}

}  // namespace

void append_base(std::string& out, std::string_view uri) {
  if (uri != kDefaultBase) out += uri;
  out += '#';
}

std::string shown_location(std::string_view uri, std::string_view pointer) {
  std::string text;
  append_base(text, uri);
  return text += as_fragment(pointer);
}

std::string Registry::shown(const Place& place, std::string_view keyword) const {
  const auto pointer = pointer_to(tape(place.document), place.resource->root, place.at);
  return shown_location(place.resource->uri_text, keyword.empty() ? pointer : pointer + '/' + pointer_token(keyword));
}

Error Registry::error(const Place& place, std::string_view keyword, std::string_view what, ErrorCode code) const {
  auto where = shown(place, keyword);
  return Error(code, fmt::format("schema: {}: {}", where, what)).at_field(std::move(where));
}

void append_pointer(Text& out, const Tape& tape, std::size_t root, std::size_t target) {
  // Down the one child that holds the place.
  for (std::size_t at = root; at != target;) {
    std::size_t next = 0;
    const auto holds = [&](std::size_t child) { return child <= target && target < next_of(tape.words, child); };
    if (tag_of(tape.words[at]) == '{') {
      each_member(tape, at, [&](std::string_view name, std::size_t child) {
        if (!holds(child)) return;
        next = child;
        out += '/';
        append_token(out, name);
      });
    } else if (tag_of(tape.words[at]) == '[') {
      std::size_t index = 0;
      each_element(tape, at, [&](std::size_t child) {
        if (holds(child)) {
          next = child;
          out += '/';
          append_number(out, index);
        }
        ++index;
      });
    }
    if (next == 0) break;
    at = next;
  }
}

std::string pointer_to(const Tape& tape, std::size_t root, std::size_t target) {
  Text out;
  append_pointer(out, tape, root, target);
  return out.str();
}

Result<Resource*> Registry::add_root(std::string_view text) {
  auto base = UriReference::parse(options_.base_uri.empty() ? kDefaultBase : std::string_view(options_.base_uri));
  if (!base.scheme) base = detail::schema::resolve(UriReference::parse(kDefaultBase), base);
  base.fragment.reset();
  return add_document(text, base, Dialect{.draft = options_.default_draft});
}

Result<void> Registry::admit_uri(std::string_view uri, const std::function<Error(std::string_view)>& refused) {
  if (uri.size() > kMostUriBytes) return refused(fmt::format("a URI of {} bytes, limit {}", uri.size(), kMostUriBytes));
  uri_bytes_ += uri.size();
  const auto most = kFreeUriBytes + kUriShare * schema_bytes_;
  if (uri_bytes_ > most) return refused(fmt::format("the URIs of all resources have more than {} bytes together", most));
  return {};
}

Resource* Registry::new_resource(std::uint32_t document, std::size_t at, UriReference uri, const Dialect& dialect) {
  uri.fragment.reset();
  auto text = uri.to_string();
  auto& resource = resources_.emplace_back(Resource{.number = static_cast<std::uint32_t>(resources_.size()),
                                                    .document = document,
                                                    .root = at,
                                                    .uri = std::move(uri),
                                                    .uri_text = std::move(text),
                                                    .dialect = dialect});
  by_uri_.emplace(resource.uri_text, &resource);
  return &resource;
}

Result<Resource*> Registry::add_document(std::string_view text, const UriReference& uri, const Dialect& fallback) {
  const auto& limits = options_.limits;
  const auto uri_text = without_fragment(uri);
  const auto named = [&](std::string_view what) { return fmt::format("schema: {}: {}", uri_text == kDefaultBase ? "#" : uri_text, what); };
  if (text.size() > limits.max_schema_bytes)
    return Error(ErrorCode::kTooLarge, named(fmt::format("{} bytes, limit {}", text.size(), limits.max_schema_bytes)));
  if (documents_.size() >= limits.max_schema_documents)
    return Error(ErrorCode::kTooLarge, named(fmt::format("more than {} schema documents", limits.max_schema_documents)));
  schema_bytes_ += text.size();
  const auto refused = [&](std::string_view what) {
    auto start = uri_text.substr(0, 200);
    return Error(ErrorCode::kTooLarge, fmt::format("schema: {}…: {}", start, what)).at_field(std::move(start));
  };
  if (auto admitted = admit_uri(uri_text, refused); !admitted) return admitted.error();
  auto document = std::make_shared<SchemaDocument>();
  document->uri = uri_text;
  if (auto read = read_json(text, limits.max_schema_depth, document->tape); !read) {
    auto error = Error(read.error().code(), named(read.error().message())).at_field(uri_text == kDefaultBase ? "#" : uri_text);
    if (read.error().position()) error.at_position(*read.error().position());
    return error;
  }
  const auto number = static_cast<std::uint32_t>(documents_.size());
  documents_.push_back(std::move(document));
  document_roots_.push_back(nullptr);
  places_.emplace_back(payload_of(this->tape(number).words[0]) + 1);
  const auto tape = this->tape(number);
  auto dialect = fallback;
  // Known by the URI it was fetched from even while its metaschema, which may be itself, is looked at.
  auto* resource = new_resource(number, 1, uri, dialect);
  resource->begins_dialect = true;
  document_roots_[number] = resource;
  if (tag_of(tape.words[1]) == '{') {
    const auto schema_at = member(tape, 1, "$schema");
    const auto own = without_empty_fragment(string_at(tape, schema_at));
    if (!own.empty()) {
      Resource* custom = nullptr;
      auto found = dialect_of(own, &custom, 0);
      if (!found) return found.error();
      dialect = *found;
      resource->metaschema = custom;
    }
  }
  resource->dialect = dialect;
  if (auto walked = walk(number, 1, resource); !walked) return walked.error();
  return document_roots_[number];
}

Result<Dialect> Registry::dialect_of(std::string_view schema_uri, Resource** custom, std::size_t depth) {
  Dialect dialect;
  const auto uri = std::string(without_empty_fragment(schema_uri));
  if (find_draft(uri, dialect.draft)) return dialect;
  if (uri == "http://json-schema.org/schema") return Dialect{.draft = options_.default_draft};
  if (depth > 8 || metaschema_depth_ > 8)
    return Error(ErrorCode::kUnsupported, fmt::format("schema: the metaschemas of {} lead to no draft that is known", uri))
        .at_field("$schema");
  ++metaschema_depth_;
  auto parsed = UriReference::parse(uri);
  if (!parsed.scheme) {
    --metaschema_depth_;
    return Error(ErrorCode::kInvalidArgument, fmt::format("schema: $schema is no absolute URI: {}", uri)).at_field("$schema");
  }
  auto loaded = load(without_fragment(parsed));
  --metaschema_depth_;
  if (!loaded) {
    return Error(loaded.error().code() == ErrorCode::kNotFound ? ErrorCode::kUnsupported : loaded.error().code(),
                 fmt::format("schema: $schema {}: {}", uri, loaded.error().message()))
        .at_field("$schema");
  }
  auto* metaschema = *loaded;
  if (custom) *custom = metaschema;
  dialect = Dialect{.draft = metaschema->dialect.draft};
  const auto tape = this->tape(metaschema->document);
  const auto vocabularies = member(tape, metaschema->root, "$vocabulary");
  if (vocabularies == 0 || tag_of(tape.words[vocabularies]) != '{' || dialect.draft < Draft::kDraft201909) return dialect;
  dialect.vocabularies = kCore;
  std::string unknown;
  each_member(tape, vocabularies, [&](std::string_view name, std::size_t at) {
    const bool required = tag_of(tape.words[at]) == 't';
    std::uint8_t bits = 0;
    bool asserts = false;
    if (find_vocabulary(name, bits, asserts)) {
      dialect.vocabularies |= bits;
      // 2019-09 asserts formats where its vocabulary is required; 2020-12 has a vocabulary for that.
      if (asserts || (bits == kFormatVocabulary && required && dialect.draft == Draft::kDraft201909)) dialect.asserts_formats = true;
    } else if (required) {
      unknown = name;
    }
  });
  if (!unknown.empty())
    return Error(ErrorCode::kUnsupported, fmt::format("schema: $schema {} requires the vocabulary {}, which is not known", uri, unknown))
        .at_field("$schema");
  return dialect;
}

Result<Resource*> Registry::load(const std::string& uri) {
  if (const auto found = by_uri_.find(uri); found != by_uri_.end()) return found->second;
  const auto add = [&](std::string_view text) -> Result<Resource*> {
    return add_document(text, UriReference::parse(uri), Dialect{.draft = options_.default_draft});
  };
  if (const auto text = builtin_schema(uri); !text.empty()) return add(text);
  if (!options_.loader) return Error(ErrorCode::kNotFound, fmt::format("{} is not known, and there is no loader", uri));
  try {
    auto text = options_.loader(uri);
    if (!text) return text.error();
    return add(*text);
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kInternal, fmt::format("the loader threw on {}: {}", uri, thrown.what()))
        .from(ErrorSource::kHost, 0, thrown.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, fmt::format("the loader threw on {}", uri)).from(ErrorSource::kHost, 0, "");
  }
}

// Every subschema that a keyword of its dialect leads to; recursion is bounded by the reader's depth.
Result<void> Registry::walk(std::uint32_t document, std::size_t at, Resource* resource) {
  if (places_[document][at]) return {};
  const auto tape = this->tape(document);
  const bool is_object = tag_of(tape.words[at]) == '{';
  bool has_name = false;  // $id, $anchor and the like
  if (is_object) {
    each_member(tape, at, [&](std::string_view name, std::size_t) { has_name = has_name || name.starts_with('$') || name == "id"; });
  }
  if (has_name) {
    auto identified = identify(document, at, resource);
    if (!identified) return identified.error();
    resource = *identified;
  }
  places_[document][at] = &place_store_.emplace_back(
      Place{.document = document, .at = at, .resource = resource, .number = static_cast<std::uint32_t>(place_store_.size())});
  if (!is_object) return {};
  if (has_name) {
    const bool only_reference = resource->dialect.draft <= Draft::kDraft7 && !string_at(tape, member(tape, at, "$ref")).empty();
    if (!only_reference) {
      if (auto named = anchors(document, at, resource, resource->root == at); !named) return named;
    }
  }
  Result<void> result;
  const auto into = [&](std::size_t value) {
    if (!result) return;
    const auto tag = tag_of(tape.words[value]);
    if (tag == '{' || tag == 't' || tag == 'f') result = walk(document, value, resource);
  };
  each_member(tape, at, [&](std::string_view name, std::size_t value) {
    const auto* rule = find_keyword(name, resource->dialect);
    if (!rule || rule->holds == Holds::kNothing) return;
    const auto tag = tag_of(tape.words[value]);
    if (rule->holds == Holds::kMap || rule->holds == Holds::kMapOfSchemasOrNames) {
      if (tag == '{') each_member(tape, value, [&](std::string_view, std::size_t child) { into(child); });
    } else if (tag == '[' && rule->holds != Holds::kSchema && (rule->key != Key::kItems || resource->dialect.draft < Draft::kDraft202012)) {
      each_element(tape, value, into);
    } else if (rule->holds != Holds::kSchemas) {
      into(value);
    }
  });
  return result;
}

// The resource that a subschema belongs to: a new one where it has an identifier.
Result<Resource*> Registry::identify(std::uint32_t document, std::size_t at, Resource* resource) {
  const auto tape = this->tape(document);
  auto dialect = resource->dialect;
  const bool is_document_root = at == 1;
  // $schema of an embedded resource counts before its $id is understood, for draft 4 spells it "id".
  const auto own_schema = without_empty_fragment(string_at(tape, member(tape, at, "$schema")));
  const auto identifier_of = [&](Draft draft) { return string_at(tape, member(tape, at, draft == Draft::kDraft4 ? "id" : "$id")); };
  auto identifier = identifier_of(dialect.draft);
  auto* metaschema = resource->metaschema;
  if (!is_document_root && !own_schema.empty() && (metaschema || own_schema != without_empty_fragment(metaschema_uri(dialect.draft)))) {
    Draft other{};
    if (identifier.empty() && find_draft(own_schema, other)) identifier = identifier_of(other);
    if (!identifier.empty()) {
      metaschema = nullptr;
      auto found = dialect_of(own_schema, &metaschema, 0);
      if (!found) return found.error();
      dialect = *found;
    }
  }
  if (identifier.empty()) return resource;
  const bool old = dialect.draft <= Draft::kDraft7;
  if (old && !string_at(tape, member(tape, at, "$ref")).empty()) return resource;
  if (old && identifier[0] == '#') return resource;  // an anchor
  const auto uri = detail::schema::resolve(resource->uri, UriReference::parse(identifier));
  const Place here{.document = document, .at = at, .resource = resource};
  const auto* const keyword = dialect.draft == Draft::kDraft4 ? "id" : "$id";
  if (!old && uri.fragment && !uri.fragment->empty()) return error(here, keyword, "an identifier has no fragment");
  const auto text = without_fragment(uri);
  const auto refused = [&](std::string_view what) { return error(here, keyword, what, ErrorCode::kTooLarge); };
  if (auto admitted = admit_uri(text, refused); !admitted) return admitted.error();
  if (is_document_root) {
    // Known by both the URI it came from and the one it gives itself.
    resource->uri = UriReference::parse(text);
    resource->uri_text = text;
    const auto [known, added] = by_uri_.emplace(text, resource);
    if (!added && known->second != resource && known->second->document != document) known->second = resource;
    return resource;
  }
  if (const auto known = by_uri_.find(text); known != by_uri_.end() && known->second->document == document && known->second->root != at) {
    if (known->second->root != 1) return error(here, keyword, fmt::format("{} names two schemas", text));
  }
  auto* made = new_resource(document, at, UriReference::parse(text), dialect);
  made->metaschema = metaschema;
  made->begins_dialect = metaschema != resource->metaschema || dialect.draft != resource->dialect.draft;
  return made;
}

Result<void> Registry::anchors(std::uint32_t document, std::size_t at, Resource* resource, bool is_root) {
  const auto tape = this->tape(document);
  const auto draft = resource->dialect.draft;
  const auto here = [&] { return Place{.document = document, .at = at, .resource = resource}; };
  const auto add = [&](std::map<std::string, std::size_t, std::less<>>& to, std::string_view name) -> Result<void> {
    const auto [known, added] = to.emplace(std::string(name), at);
    if (!added && known->second != at) return error(here(), "", fmt::format("the anchor \"{}\" names two schemas", name));
    return {};
  };
  if (draft <= Draft::kDraft7) {
    const auto identifier = string_at(tape, member(tape, at, draft == Draft::kDraft4 ? "id" : "$id"));
    const auto hash = identifier.find('#');
    if (hash == std::string_view::npos || hash + 1 == identifier.size()) return {};
    return add(resource->anchors, identifier.substr(hash + 1));
  }
  if (const auto name = string_at(tape, member(tape, at, "$anchor")); !name.empty()) {
    if (auto added = add(resource->anchors, name); !added) return added;
  }
  if (draft == Draft::kDraft202012) {
    if (const auto name = string_at(tape, member(tape, at, "$dynamicAnchor")); !name.empty()) {
      if (auto added = add(resource->anchors, name); !added) return added;
      return add(resource->dynamic_anchors, name);
    }
  } else if (is_root) {
    const auto recursive = member(tape, at, "$recursiveAnchor");
    if (recursive != 0 && tag_of(tape.words[recursive]) == 't') return add(resource->dynamic_anchors, "");
  }
  return {};
}

Result<const Place*> Registry::resolve(const Resource& from, std::string_view reference, std::string* anchor) {
  // The same few references stand in many places.
  auto& known = resolved_[from.number][std::string(reference)];
  if (!known.first) {
    auto found = look_up(from, reference, &known.second);
    if (!found) return found;
    known.first = *found;
  }
  if (anchor) *anchor = known.second;
  return known.first;
}

Result<const Place*> Registry::look_up(const Resource& from, std::string_view reference, std::string* anchor) {
  const auto uri = detail::schema::resolve(from.uri, UriReference::parse(reference));
  const auto fragment = percent_decoded(uri.fragment.value_or(""));
  auto loaded = load(without_fragment(uri));
  if (!loaded) {
    return Error(loaded.error().code(),
                 fmt::format("schema: the reference \"{}\" in {}: {}", reference, from.uri_text, loaded.error().message()))
        .at_field(loaded.error().field());
  }
  auto* resource = *loaded;
  if (fragment.empty() || fragment[0] == '/') return follow(resource, fragment, reference, from);
  const auto found = resource->anchors.find(fragment);
  if (found == resource->anchors.end()) {
    return Error(ErrorCode::kNotFound,
                 fmt::format(R"(schema: the reference "{}" in {}: no anchor "{}")", reference, from.uri_text, fragment));
  }
  if (anchor) *anchor = fragment;
  return &place(resource->document, found->second);
}

std::size_t Registry::member_of(std::uint32_t document, std::size_t object, std::string_view name) {
  const auto tape = this->tape(document);
  if (count_of(tape, object) <= 16) return member(tape, object, name);
  // A schema of many definitions that refer to each other would be read once for each reference.
  const auto known = names_.try_emplace(std::uint64_t{document} << 32 | object);
  auto& names = known.first->second;
  if (known.second) each_member(tape, object, [&](std::string_view one, std::size_t value) { names.try_emplace(one, value); });
  const auto found = names.find(name);
  return found == names.end() ? 0 : found->second;
}

Result<const Place*> Registry::follow(Resource* resource, std::string_view pointer, std::string_view reference, const Resource& from) {
  const auto document = resource->document;
  const auto tape = this->tape(document);
  auto at = resource->root;
  auto* within = resource;
  while (!pointer.empty()) {
    const auto end = pointer.find('/', 1);
    std::string token;
    const auto raw = pointer.substr(1, end == std::string_view::npos ? end : end - 1);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '~' && i + 1 < raw.size() && (raw[i + 1] == '0' || raw[i + 1] == '1')) {
        token += raw[++i] == '0' ? '~' : '/';
      } else {
        token += raw[i];
      }
    }
    pointer = end == std::string_view::npos ? std::string_view() : pointer.substr(end);
    std::size_t next = 0;
    if (tag_of(tape.words[at]) == '{') {
      next = member_of(document, at, token);
    } else if (tag_of(tape.words[at]) == '[') {
      std::size_t index = 0;
      const auto parsed = std::from_chars(token.data(), token.data() + token.size(), index);
      const bool plain = parsed.ec == std::errc() && parsed.ptr == token.data() + token.size() && (token == "0" || token[0] != '0');
      std::size_t i = 0;
      each_element(tape, at, [&](std::size_t item) {
        if (plain && i++ == index) next = item;
      });
    }
    if (next == 0) {
      return Error(ErrorCode::kNotFound, fmt::format("schema: the reference \"{}\" in {}: nothing is there", reference, from.uri_text));
    }
    at = next;
    if (const auto* known = find_place(document, at)) {
      within = known->resource;
    }
  }
  // A place that no keyword leads to becomes a schema by being referred to.
  if (auto walk_result = walk(document, at, within); !walk_result) return walk_result.error();
  return &place(document, at);
}

}  // namespace setget::inline v0::detail::schema
