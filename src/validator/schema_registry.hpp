// Registry: the schema documents of one compilation, what in them has a URI or an anchor, and where references lead. Private to the
// validator. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "validator/schema_keywords.hpp"
#include "validator/schema_program.hpp"
#include "validator/uri_reference.hpp"

namespace setget::inline v0::detail::schema {

// A schema with a URI of its own.
struct Resource {
  std::uint32_t number = 0;
  std::uint32_t document = 0;
  std::size_t root = 0;
  UriReference uri{};
  std::string uri_text{};
  Dialect dialect{};
  Resource* metaschema = nullptr;  // what its $schema names, where that is none of the built-in ones
  bool begins_dialect = false;     // it is a document, or names another metaschema than that of what it stands in
  std::map<std::string, std::size_t, std::less<>> anchors{};
  std::map<std::string, std::size_t, std::less<>> dynamic_anchors{};  // "" stands for $recursiveAnchor
};

// A subschema.
struct Place {
  std::uint32_t document = 0;
  std::size_t at = 0;
  Resource* resource = nullptr;
  std::uint32_t number = 0;
};

// A JSON Pointer from one place of a tape to another within it.
std::string pointer_to(const Tape& tape, std::size_t root, std::size_t at);
void append_pointer(Text& out, const Tape& tape, std::size_t root, std::size_t target);
// URI and pointer as one text; the default base is left out.
std::string shown_location(std::string_view uri, std::string_view pointer);
// The same up to and with the "#".
void append_base(std::string& out, std::string_view uri);

class Registry {
 public:
  explicit Registry(const json_schema::Options& options) : options_(options) {}

  // The schema itself.
  Result<Resource*> add_root(std::string_view text);
  // Where a reference leads. `anchor` is set where its fragment is the name of one.
  Result<const Place*> resolve(const Resource& from, std::string_view reference, std::string* anchor = nullptr);
  const Place& place(std::uint32_t document, std::size_t at) const { return *places_[document][at]; }
  std::size_t place_count() const noexcept { return place_store_.size(); }
  const Place* find_place(std::uint32_t document, std::size_t at) const { return places_[document][at]; }
  Tape tape(std::uint32_t document) const { return documents_[document]->tape.tape(); }
  const std::vector<std::shared_ptr<const SchemaDocument>>& documents() const noexcept { return documents_; }
  const std::deque<Resource>& resources() const noexcept { return resources_; }
  Resource* document_root(std::uint32_t document) const { return document_roots_[document]; }
  // Where a resource begins, as a JSON Pointer from the root of its document.
  std::string pointer_in_document(const Resource& resource) const { return pointer_to(tape(resource.document), 1, resource.root); }
  // The place of a keyword for messages.
  std::string shown(const Place& place, std::string_view keyword = "") const;
  Error error(const Place& place, std::string_view keyword, std::string_view what, ErrorCode code = ErrorCode::kInvalidArgument) const;

 private:
  Result<Resource*> add_document(std::string_view text, const UriReference& uri, const Dialect& fallback);
  Result<Resource*> load(const std::string& uri);
  // By $schema.
  Result<Dialect> dialect_of(std::string_view schema_uri, Resource** custom, std::size_t depth);
  Result<void> walk(std::uint32_t document, std::size_t at, Resource* resource);
  Result<Resource*> identify(std::uint32_t document, std::size_t at, Resource* resource);
  Result<void> anchors(std::uint32_t document, std::size_t at, Resource* resource, bool is_root);
  Result<const Place*> look_up(const Resource& from, std::string_view reference, std::string* anchor);
  Result<const Place*> follow(Resource* resource, std::string_view pointer, std::string_view reference, const Resource& from);
  // As member(), for many names of one large object.
  std::size_t member_of(std::uint32_t document, std::size_t object, std::string_view name);
  // Counts a resource's URI against what URIs may take; refused(what) is the error where it is too much.
  Result<void> admit_uri(std::string_view uri, const std::function<Error(std::string_view)>& refused);
  Resource* new_resource(std::uint32_t document, std::size_t at, UriReference uri, const Dialect& dialect);

  const json_schema::Options& options_;
  std::vector<std::shared_ptr<const SchemaDocument>> documents_;
  std::vector<Resource*> document_roots_;
  std::deque<Resource> resources_;
  std::unordered_map<std::string, Resource*> by_uri_;
  std::vector<std::vector<const Place*>> places_;  // by document and place on its tape
  std::deque<Place> place_store_;
  // By resource and text: the place, and the anchor where the reference names one.
  std::unordered_map<std::uint32_t, std::unordered_map<std::string, std::pair<const Place*, std::string>>> resolved_;
  // Of large objects that references lead through, by document and place: the first value under each name.
  std::unordered_map<std::uint64_t, std::unordered_map<std::string_view, std::size_t>> names_;
  std::size_t metaschema_depth_ = 0;
  std::size_t schema_bytes_ = 0;  // of all documents, and of the URIs in them
  std::size_t uri_bytes_ = 0;
};

}  // namespace setget::inline v0::detail::schema
