#include "testing/power_loss_disk.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <setget/testing/clock.hpp>

namespace setget::inline v0::testing::detail {

namespace {

constexpr std::uint64_t kSector = 512;
// How much of what was not synced survives differs from cut to cut: the rare images (all but one write, one write alone) must come up too.
constexpr std::array<std::uint64_t, 5> kSurvivePercent{0, 10, 50, 90, 100};

std::string_view directory_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

// A part of a write, starting at byte `from` of it.
void put(std::string& content, const PowerLossDisk::File::Change& change, std::uint64_t from, std::uint64_t length) {
  const auto at = change.offset + from;
  if (content.size() < at + length) content.resize(at + length, '\0');
  content.replace(at, length, change.bytes, from, length);
}

void apply(std::string& content, const PowerLossDisk::File::Change& change) {
  if (change.truncation) {
    content.resize(change.offset, '\0');
  } else {
    put(content, change, 0, change.bytes.size());
  }
}

// Each sector that the write touches survives or not on its own; a sector is never mixed.
bool apply_torn(std::string& content, const PowerLossDisk::File::Change& change, Random& random) {
  bool whole = true;
  for (std::uint64_t from = 0; from < change.bytes.size();) {
    const auto sector_end = ((change.offset + from) / kSector + 1) * kSector - change.offset;
    const auto to = std::min<std::uint64_t>(sector_end, change.bytes.size());
    if (random.next() % 2 == 0) {
      put(content, change, from, to - from);
    } else {
      whole = false;
    }
    from = to;
  }
  return whole;
}

void shuffle(std::vector<PowerLossDisk::File::Change>& changes, Random& random) {
  for (std::size_t i = changes.size(); i > 1; --i) std::swap(changes[i - 1], changes[random.next() % i]);
}

}  // namespace

bool PowerLossDisk::knows(const std::string& path) const {
  const auto found = names_.find(path);
  return found != names_.end() && found->second.current() != nullptr;
}

PowerLossDisk::FilePtr PowerLossDisk::open(const std::string& path, const std::optional<std::string>& stored) {
  auto& name = names_[path];
  if (!stored) {
    name.pending.push_back(std::make_shared<File>());
  } else if (!name.current()) {
    // There before this disk was watched: taken as safely stored.
    name.synced = std::make_shared<File>();
    name.synced->synced = *stored;
    name.pending.clear();
  }
  return name.current();
}

void PowerLossDisk::remove(const std::string& path) {
  const auto found = names_.find(path);
  if (found != names_.end() && found->second.current()) found->second.pending.push_back(nullptr);
}

void PowerLossDisk::sync_directory_of(const std::string& path) {
  for (auto& [other, name] : names_) {
    if (directory_of(other) != directory_of(path) || name.pending.empty()) continue;
    name.synced = name.pending.back();
    name.pending.clear();
  }
}

void PowerLossDisk::write(File& file, std::uint64_t offset, std::string_view bytes) {
  file.pending.push_back({offset, std::string(bytes), false});
}

void PowerLossDisk::truncate(File& file, std::uint64_t size) { file.pending.push_back({size, {}, true}); }

void PowerLossDisk::sync(File& file) {
  for (const auto& change : file.pending) apply(file.synced, change);
  file.pending.clear();
}

std::map<std::string, std::optional<std::string>> PowerLossDisk::lose_power(std::uint64_t seed) {
  SeededRandom random(seed);
  std::map<std::string, std::optional<std::string>> left;
  for (auto& [path, name] : names_) {
    if (name.pending.empty() && (!name.synced || name.synced->pending.empty())) continue;
    const auto state = random.next() % (name.pending.size() + 1);
    if (state > 0) name.synced = name.pending[state - 1];
    name.pending.clear();
    if (!name.synced) {
      left[path] = std::nullopt;
      continue;
    }
    auto& file = *name.synced;
    const auto survive_percent = kSurvivePercent[random.next() % kSurvivePercent.size()];
    // Half of the time in the order written, so that long runs of valid log frames come up as well.
    if (random.next() % 2 == 0) shuffle(file.pending, random);
    for (const auto& change : file.pending) {
      if (random.next() % 100 >= survive_percent) {
        ++lost_;
      } else if (!change.truncation && random.next() % 4 == 0) {
        lost_ += apply_torn(file.synced, change, random) ? 0 : 1;
      } else {
        apply(file.synced, change);
      }
    }
    file.pending.clear();
    left[path] = file.synced;
  }
  return left;
}

}  // namespace setget::inline v0::testing::detail
