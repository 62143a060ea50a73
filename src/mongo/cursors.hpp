// Cursors over documents that are sorted by a name, and what stands in the way of one. Those of every store where the name is an
// identity's; behind any other name this one, as it stands. Thread rule: values.
#pragma once

#include <string>

#include <setget/archive.hpp>

#include "mongo/mongoc.hpp"

namespace setget::inline v0::mongo {

std::string cursor_behind(const std::string& name);
// The name that a cursor goes on behind. Errors as those of scans.
Result<std::string> name_in(const std::string& cursor);
// A cursor that goes on behind this, at any document.
std::string cursor_before_all();

// The value of a filter by name: what has another one is not the archive's.
Document any_text();

// What cannot be read, by the name whose identity it tells where it is one.
DamagedItem damaged_item(const std::string& name, const Error& error);
// True of an error of one document, and not of the call.
bool is_damage(const Error& error) noexcept;

}  // namespace setget::inline v0::mongo
