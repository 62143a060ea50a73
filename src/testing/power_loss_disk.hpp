// PowerLossDisk: what a disk holds for sure and what the system only promised to write, per file and per name. No SQLite here: a pure
// model, which PowerLossVfs feeds with operations. Thread rule: the caller locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace setget::inline v0::testing::detail {

class PowerLossDisk {
 public:
  // One file's content, whatever names lead to it.
  struct File {
    struct Change {
      std::uint64_t offset = 0;  // of a truncation: the new size
      std::string bytes;
      bool truncation = false;
    };
    std::string synced;
    std::vector<Change> pending;
  };
  using FilePtr = std::shared_ptr<File>;

  // True if there is a file of that name that open() does not need the content of.
  bool knows(const std::string& path) const;
  // The file now behind `path`; `stored` is its content if it was there before and is not known yet, empty if this open makes it.
  FilePtr open(const std::string& path, const std::optional<std::string>& stored);
  void remove(const std::string& path);
  void sync_directory_of(const std::string& path);

  static void write(File& file, std::uint64_t offset, std::string_view bytes);
  static void truncate(File& file, std::uint64_t size);
  static void sync(File& file);

  // What a power loss leaves of the files that were not wholly synced: path → content, empty = no such file. The disk continues from there.
  // `seed` chooses.
  std::map<std::string, std::optional<std::string>> lose_power(std::uint64_t seed);
  std::uint64_t lost() const noexcept { return lost_; }

 private:
  // A name's history since its folder was last synced; null = no file.
  struct Name {
    FilePtr synced;
    std::vector<FilePtr> pending;
    const FilePtr& current() const { return pending.empty() ? synced : pending.back(); }
  };
  std::map<std::string, Name> names_;
  std::uint64_t lost_ = 0;
};

}  // namespace setget::inline v0::testing::detail
