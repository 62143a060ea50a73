// Reading an archive of which single documents are damaged: the others must not be lost for it. Thread rule: any thread.
#pragma once

#include <setget/archive.hpp>

namespace setget::inline v0::detail {

// True if the error is of what stands there and cannot be read. Others may go away by themselves, or are everyone's.
inline bool is_damage(const Error& error) noexcept {
  return error.code() == ErrorCode::kCorrupted || error.code() == ErrorCode::kUnsupported;
}

// A page, and in SummaryPage::damaged what of it cannot be read. Also of archives that do not tell one from the other in a scan: of these
// as long as the lines themselves can be read. With records, each is either there or told.
Result<SummaryPage> scan_over_damage(ArchiveBackend& archive, ScanArchive request);

}  // namespace setget::inline v0::detail
