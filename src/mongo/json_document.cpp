// JSON as BSON, by its plain meaning: no extended JSON, in which a sender's {"$date": …} would become something else.
#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "mongo/codec.hpp"

namespace setget::inline v0::mongo {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr int kMaxDepth = 80;  // MongoDB: 100

bool names_are_plain(const simdjson::dom::object& object) {
  std::vector<std::string_view> names;
  for (const auto field : object) {
    const std::string_view name = field.key;
    if (name.empty() || name.front() == '$' || name.find('.') != std::string_view::npos || name.find('\0') != std::string_view::npos)
      return false;
    names.push_back(name);
  }
  std::ranges::sort(names);
  return std::ranges::adjacent_find(names) == names.end();
}

bool add(Document& out, std::string_view name, const element& value, int depth);

bool add_object(Document& out, std::string_view name, const simdjson::dom::object& object, int depth) {
  if (depth > kMaxDepth || !names_are_plain(object)) return false;
  Document inner;
  for (const auto field : object) {
    if (!add(inner, field.key, field.value, depth + 1)) return false;
  }
  return out.add(name, inner).whole();
}

bool add_array(Document& out, std::string_view name, const simdjson::dom::array& array, int depth) {
  if (depth > kMaxDepth) return false;
  Document inner;
  std::size_t at = 0;
  for (const auto value : array) {
    if (!add(inner, std::to_string(at++), value, depth + 1)) return false;
  }
  return out.add_array(name, inner).whole();
}

bool add(Document& out, std::string_view name, const element& value, int depth) {
  switch (value.type()) {
    case element_type::OBJECT:
      return add_object(out, name, value.get_object().value_unsafe(), depth);
    case element_type::ARRAY:
      return add_array(out, name, value.get_array().value_unsafe(), depth);
    case element_type::STRING:
      return out.add_utf8(name, value.get_string().value_unsafe()).whole();
    case element_type::INT64:
      return out.add(name, value.get_int64().value_unsafe()).whole();
    case element_type::UINT64:  // only what an int64 cannot hold
      return out.add(name, static_cast<double>(value.get_uint64().value_unsafe())).whole();
    case element_type::DOUBLE:
      return out.add(name, value.get_double().value_unsafe()).whole();
    case element_type::BOOL:
      return out.add(name, value.get_bool().value_unsafe()).whole();
    case element_type::NULL_VALUE:
      return out.add_null(name).whole();
  }
  return false;
}

}  // namespace

bool add_json(Document& out, std::string_view name, std::string_view json) {
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return false;
  if (root.type() != element_type::OBJECT && root.type() != element_type::ARRAY) return false;
  Document made;
  if (!add(made, name, root, 1)) return false;
  return bson_concat(out.out(), made.raw());
}

}  // namespace setget::inline v0::mongo
