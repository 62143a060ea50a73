// The one door to the MongoDB C driver: nothing else includes <mongoc/mongoc.h>. Owners of its handles, and a Document that is built and
// read without a bson_t in sight of memory mistakes. Thread rule: a Client's handle and what comes of it belong to one thread at a time.
#pragma once

#include <mongoc/mongoc.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <setget/clock.hpp>

namespace setget::inline v0::mongo {

template <auto Destroy>
struct Destroyer {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    Destroy(handle);
  }
};

using UriHandle = std::unique_ptr<mongoc_uri_t, Destroyer<mongoc_uri_destroy>>;
using ClientHandle = std::unique_ptr<mongoc_client_t, Destroyer<mongoc_client_destroy>>;
using CollectionHandle = std::unique_ptr<mongoc_collection_t, Destroyer<mongoc_collection_destroy>>;
using CursorHandle = std::unique_ptr<mongoc_cursor_t, Destroyer<mongoc_cursor_destroy>>;
using BulkHandle = std::unique_ptr<mongoc_bulk_operation_t, Destroyer<mongoc_bulk_operation_destroy>>;
using ReadPrefs = std::unique_ptr<mongoc_read_prefs_t, Destroyer<mongoc_read_prefs_destroy>>;
using SessionHandle = std::unique_ptr<mongoc_client_session_t, Destroyer<mongoc_client_session_destroy>>;
using SessionOptions = std::unique_ptr<mongoc_session_opt_t, Destroyer<mongoc_session_opts_destroy>>;
using ServerHandle = std::unique_ptr<mongoc_server_description_t, Destroyer<mongoc_server_description_destroy>>;
using Callbacks = std::unique_ptr<mongoc_apm_callbacks_t, Destroyer<mongoc_apm_callbacks_destroy>>;

// A BSON document that grows at its end. Names are literals of ours or checked before. What does not fit into 2 GiB is left out, and
// whole() says so.
class Document {
 public:
  Document() { bson_init(&bson_); }
  ~Document() { bson_destroy(&bson_); }
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  Document(Document&& other) noexcept : whole_(other.whole_) {
    bson_init(&bson_);
    bson_steal(&bson_, &other.bson_);
    bson_init(&other.bson_);
  }
  Document& operator=(Document&&) = delete;

  Document& add(std::string_view name, std::int32_t value) & { return note(bson_append_int32(&bson_, name.data(), size(name), value)); }
  Document& add(std::string_view name, std::int64_t value) & { return note(bson_append_int64(&bson_, name.data(), size(name), value)); }
  Document& add(std::string_view name, std::uint64_t value) & { return add(name, static_cast<std::int64_t>(value)); }
  Document& add(std::string_view name, bool value) & { return note(bson_append_bool(&bson_, name.data(), size(name), value)); }
  Document& add(std::string_view name, double value) & { return note(bson_append_double(&bson_, name.data(), size(name), value)); }
  Document& add(std::string_view name, const Document& value) & {
    return note(value.whole_ && bson_append_document(&bson_, name.data(), size(name), value.raw()));
  }
  Document& add_array(std::string_view name, const Document& value) & {
    return note(value.whole_ && bson_append_array(&bson_, name.data(), size(name), value.raw()));
  }
  Document& add_date(std::string_view name, TimePoint time) & {
    return note(bson_append_date_time(&bson_, name.data(), size(name), time.time_since_epoch().count()));
  }
  // Precondition: UTF-8.
  Document& add_utf8(std::string_view name, std::string_view text) & {
    return note(fits(text) && bson_append_utf8(&bson_, name.data(), size(name), bytes_of(text), size(text)));
  }
  Document& add_null(std::string_view name) & { return note(bson_append_null(&bson_, name.data(), size(name))); }
  Document& add_binary(std::string_view name, std::string_view bytes) & {
    return note(fits(bytes) &&
                bson_append_binary(&bson_, name.data(), size(name), BSON_SUBTYPE_BINARY,
                                   reinterpret_cast<const std::uint8_t*>(bytes_of(bytes)), static_cast<std::uint32_t>(bytes.size())));
  }
  // All that is in the other one.
  Document& add_all(const Document& other) & { return note(other.whole_ && bson_concat(&bson_, other.raw())); }
  // Any bytes: a string where they are one that every reader understands, else binary.
  Document& add_text(std::string_view name, std::string_view bytes) & {
    return bson_utf8_validate(bytes_of(bytes), bytes.size(), false) ? add_utf8(name, bytes) : add_binary(name, bytes);
  }
  // For arrays: elements are named by their number.
  template <class Value>
  Document& push_text(std::size_t at, const Value& value) & {
    return add_text(std::to_string(at), value);
  }

  const bson_t* raw() const noexcept { return &bson_; }
  bson_t* out() noexcept { return &bson_; }
  std::size_t bytes() const noexcept { return bson_.len; }
  bool whole() const noexcept { return whole_; }

 private:
  static int size(std::string_view text) noexcept { return static_cast<int>(text.size()); }
  static const char* bytes_of(std::string_view text) noexcept { return text.data() == nullptr ? "" : text.data(); }
  static bool fits(std::string_view text) noexcept { return text.size() < (std::size_t{1} << 30); }
  Document& note(bool done) & {
    whole_ = whole_ && done;
    return *this;
  }
  bson_t bson_;
  bool whole_ = true;
};

// What the driver fills in: a reply. It is initialised by the driver's call, and by nothing before.
class Reply {
 public:
  Reply() { bson_init(&bson_); }
  ~Reply() { bson_destroy(&bson_); }
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  // For a call that initialises it in every case.
  bson_t* fill() noexcept {
    bson_destroy(&bson_);
    return &bson_;
  }
  const bson_t* raw() const noexcept { return &bson_; }

 private:
  bson_t bson_;
};

// One value of a document that somebody else owns.
class Value {
 public:
  explicit Value(const bson_iter_t& at) noexcept : at_(at) {}
  std::string_view name() const noexcept { return {bson_iter_key(&at_), bson_iter_key_len(&at_)}; }
  std::optional<std::int64_t> integer() const noexcept {
    if (BSON_ITER_HOLDS_INT32(&at_)) return bson_iter_int32(&at_);
    if (BSON_ITER_HOLDS_INT64(&at_)) return bson_iter_int64(&at_);
    // Servers answer counts in any number type.
    if (BSON_ITER_HOLDS_DOUBLE(&at_)) return static_cast<std::int64_t>(bson_iter_double(&at_));
    return std::nullopt;
  }
  std::optional<bool> truth() const noexcept {
    if (BSON_ITER_HOLDS_BOOL(&at_)) return bson_iter_bool(&at_);
    const auto number = integer();
    return number ? std::optional(*number != 0) : std::nullopt;
  }
  std::optional<TimePoint> time() const noexcept {
    return BSON_ITER_HOLDS_DATE_TIME(&at_) ? std::optional(TimePoint(Milliseconds(bson_iter_date_time(&at_)))) : std::nullopt;
  }
  std::optional<std::string_view> text() const noexcept {
    if (!BSON_ITER_HOLDS_UTF8(&at_)) return std::nullopt;
    std::uint32_t length = 0;
    const char* text = bson_iter_utf8(&at_, &length);
    return std::string_view(text, length);
  }
  // What add_text() or add_binary() made.
  std::optional<std::string_view> bytes() const noexcept {
    if (const auto string = text()) return string;
    if (!BSON_ITER_HOLDS_BINARY(&at_)) return std::nullopt;
    bson_subtype_t subtype{};
    std::uint32_t length = 0;
    const std::uint8_t* data = nullptr;
    bson_iter_binary(&at_, &subtype, &length, &data);
    return std::string_view(length == 0 ? "" : reinterpret_cast<const char*>(data), length);
  }
  // Of a document or an array: calls what(Value) for each element until it says false.
  template <class What>
  bool each(What what) const {
    bson_iter_t child;
    if (!(BSON_ITER_HOLDS_DOCUMENT(&at_) || BSON_ITER_HOLDS_ARRAY(&at_)) || !bson_iter_recurse(&at_, &child)) return false;
    while (bson_iter_next(&child)) {
      if (!what(Value(child))) return false;
    }
    return true;
  }
  std::optional<Value> find(const char* name) const noexcept {
    bson_iter_t child;
    if (!(BSON_ITER_HOLDS_DOCUMENT(&at_) || BSON_ITER_HOLDS_ARRAY(&at_)) || !bson_iter_recurse(&at_, &child)) return std::nullopt;
    return bson_iter_find(&child, name) ? std::optional(Value(child)) : std::nullopt;
  }
  bool is_document() const noexcept { return BSON_ITER_HOLDS_DOCUMENT(&at_); }
  // As a document, whose bytes stay the owner's. False: it is none.
  bool view(bson_t& into) const noexcept {
    if (!is_document()) return false;
    std::uint32_t length = 0;
    const std::uint8_t* data = nullptr;
    bson_iter_document(&at_, &length, &data);
    return bson_init_static(&into, data, length);
  }

 private:
  bson_iter_t at_;
};

// By its name, or by names with dots between where it stands in a document within.
inline std::optional<Value> find(const bson_t* document, const char* name) noexcept {
  bson_iter_t top;
  bson_iter_t at;
  return bson_iter_init(&top, document) && bson_iter_find_descendant(&top, name, &at) ? std::optional(Value(at)) : std::nullopt;
}
// By its name alone.
inline std::optional<Value> find_top(const bson_t* document, const char* name) noexcept {
  bson_iter_t at;
  return bson_iter_init_find(&at, document, name) ? std::optional(Value(at)) : std::nullopt;
}
inline std::int64_t integer_or(const bson_t* document, const char* name, std::int64_t other) noexcept {
  const auto value = find(document, name);
  return value ? value->integer().value_or(other) : other;
}
inline std::string text_or_empty(const bson_t* document, const char* name) {
  const auto value = find(document, name);
  const auto bytes = value ? value->bytes() : std::nullopt;
  return std::string(bytes.value_or(std::string_view()));
}

}  // namespace setget::inline v0::mongo
