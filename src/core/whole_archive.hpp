// Of which field errors are that are an archive's as a whole, and no document's. kUnsupported is either: nothing that a later version
// wrote, or one document that it wrote, can be read here.
#pragma once

namespace setget::inline v0::detail {

inline constexpr const char* kWholeArchive = "archive";

}  // namespace setget::inline v0::detail
