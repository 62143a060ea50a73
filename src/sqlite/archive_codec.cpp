#include "sqlite/archive_codec.hpp"

#include <optional>
#include <utility>

#include "core/varint.hpp"

namespace setget::inline v0::sqlite {

using detail::ByteReader;
using detail::put_bytes;
using detail::put_varint;

namespace {

// 1: until the scan cursor. 2: behind it the runner, the history of runs, the archive's id and its last verification. 3: behind these where
// the cursor stood when the copy began. 4: behind that where it stands.
constexpr std::uint8_t kCheckpointFormat = 4;

Error damaged(std::string_view what, std::size_t position) {
  return Error(ErrorCode::kCorrupted, "the archive's " + std::string(what) + " is damaged").at_position(position);
}

void put_time(std::string& out, TimePoint time) { put_varint(out, static_cast<std::uint64_t>(time.time_since_epoch().count())); }
TimePoint as_time(std::uint64_t ms) { return TimePoint(Milliseconds(static_cast<std::int64_t>(ms))); }

}  // namespace

std::string encode_checkpoint(const ArchiveCheckpoint& checkpoint) {
  std::string out(1, static_cast<char>(kCheckpointFormat));
  put_bytes(out, checkpoint.source.uuid);
  put_varint(out, checkpoint.source.epoch);
  put_varint(out, checkpoint.position);
  put_varint(out, checkpoint.runs);
  put_time(out, checkpoint.last_started_at);
  put_time(out, checkpoint.last_success_at);
  put_varint(out, checkpoint.records_written);
  put_varint(out, checkpoint.tombstones_written);
  put_varint(out, checkpoint.skipped_short_lived);
  put_bytes(out, checkpoint.last_error);
  put_varint(out, checkpoint.full_copy ? 1 : 0);
  put_bytes(out, checkpoint.scan_cursor);
  put_varint(out, checkpoint.fence);
  put_bytes(out, checkpoint.runner);
  put_time(out, checkpoint.runner_until);
  put_varint(out, checkpoint.history.size());
  for (const auto& run : checkpoint.history) {
    put_time(out, run.started_at);
    put_time(out, run.ended_at);
    put_varint(out, run.read);
    put_varint(out, run.written);
    put_varint(out, run.tombstones);
    put_bytes(out, run.error);
  }
  put_bytes(out, checkpoint.archive_id);
  put_varint(out, checkpoint.verify_turn);
  put_time(out, checkpoint.last_verified_at);
  put_varint(out, checkpoint.last_differences);
  put_varint(out, checkpoint.copy_from ? 1 : 0);
  put_varint(out, checkpoint.copy_from.value_or(0));
  put_varint(out, checkpoint.cursor_at);
  return out;
}

Result<ArchiveCheckpoint> decode_checkpoint(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto format = reader.byte();
  if (format && *format > kCheckpointFormat) {
    return Error(ErrorCode::kUnsupported, "the archive's checkpoint was written by a newer version").at_position(0);
  }
  ArchiveCheckpoint checkpoint;
  bool whole = format && *format >= 1;
  const auto number = [&](std::uint64_t fallback) {
    const auto value = reader.varint();
    whole = whole && value.has_value();
    return value.value_or(fallback);
  };
  const auto text = [&] {
    const auto value = reader.sized_bytes();
    whole = whole && value.has_value();
    return std::string(value.value_or(std::string_view()));
  };
  checkpoint.source.uuid = text();
  checkpoint.source.epoch = number(1);
  checkpoint.position = number(0);
  checkpoint.runs = number(0);
  checkpoint.last_started_at = as_time(number(0));
  checkpoint.last_success_at = as_time(number(0));
  checkpoint.records_written = number(0);
  checkpoint.tombstones_written = number(0);
  checkpoint.skipped_short_lived = number(0);
  checkpoint.last_error = text();
  checkpoint.full_copy = number(0) == 1;
  checkpoint.scan_cursor = text();
  if (whole && *format >= 2) {
    checkpoint.fence = number(0);
    checkpoint.runner = text();
    checkpoint.runner_until = as_time(number(0));
    for (auto runs = number(0); whole && runs > 0; --runs) {
      auto& run = checkpoint.history.emplace_back();
      run.started_at = as_time(number(0));
      run.ended_at = as_time(number(0));
      run.read = number(0);
      run.written = number(0);
      run.tombstones = number(0);
      run.error = text();
    }
    checkpoint.archive_id = text();
    checkpoint.verify_turn = number(0);
    checkpoint.last_verified_at = as_time(number(0));
    checkpoint.last_differences = number(0);
  }
  if (whole && *format >= 3) {
    const bool known = number(0) == 1;
    const auto from = number(0);
    if (known) checkpoint.copy_from = from;
  }
  if (whole && *format >= 4) checkpoint.cursor_at = number(0);
  if (!whole || reader.left() != 0) return damaged("checkpoint", reader.position());
  return checkpoint;
}

Result<KeyList> unpack_keys(std::string_view packed) {
  ByteReader reader(packed);
  std::size_t count = 0;
  while (reader.left() > 0) {
    if (!reader.sized_bytes()) return damaged("list of keys", reader.position());
    ++count;
  }
  return KeyList::from_packed(Payload::copy(packed), count);
}

std::vector<std::string_view> held_keys(const KeyList& keys, const KeyList& lost) {
  std::vector<std::string_view> held;
  held.reserve(keys.size());
  for (const auto key : keys) {
    if (lost.empty() || !lost.contains(key)) held.push_back(key);
  }
  return held;
}

}  // namespace setget::inline v0::sqlite
