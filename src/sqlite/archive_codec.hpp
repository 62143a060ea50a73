// What the archive keeps as bytes of its own: its checkpoint and the key lists beside a document. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <setget/archive.hpp>

namespace setget::inline v0::sqlite {

std::string encode_checkpoint(const ArchiveCheckpoint& checkpoint);
// kCorrupted for damaged bytes, kUnsupported for a newer format.
Result<ArchiveCheckpoint> decode_checkpoint(std::string_view bytes);

// Checks foreign packed keys, and copies them.
Result<KeyList> unpack_keys(std::string_view packed);
// Those of `keys` that are not in `lost`, in order; views into `keys`.
std::vector<std::string_view> held_keys(const KeyList& keys, const KeyList& lost);

}  // namespace setget::inline v0::sqlite
