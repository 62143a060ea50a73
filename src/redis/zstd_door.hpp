// The one door to zstd: bodies made smaller with a dictionary or without, read back, and dictionaries trained. In a build without zstd
// nothing can be made smaller and nothing can be read; zstd_available() says so. Thread rule: any thread; a dictionary is immutable.
//
// A frame is a zstd frame with content size and checksum, without the four magic bytes and without the dictionary's number, which the entry
// has. Damaged bytes are told by the checksum, and never allocate more than kMostBodyBytes, nor more than a frame of their size can hold.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <setget/error.hpp>
#include <setget/payload.hpp>

namespace setget::inline v0::redis {

// Larger bodies are stored as they are; frames that claim to be larger are damaged.
inline constexpr std::size_t kMostBodyBytes = 64u << 20;
// Larger dictionaries are damaged: none is ever made so (CodecOptions::dictionary_bytes).
inline constexpr std::size_t kMostDictionaryBytes = 1u << 20;

bool zstd_available() noexcept;

class ZstdDictionary {
 public:
  // Keeps the bytes. `level`: of what is made with it.
  ZstdDictionary(std::string bytes, int level);
  ~ZstdDictionary();
  ZstdDictionary(const ZstdDictionary&) = delete;
  ZstdDictionary& operator=(const ZstdDictionary&) = delete;
  struct Tables;
  const Tables& tables() const noexcept { return *tables_; }

 private:
  std::unique_ptr<Tables> tables_;
};

// Empty where it does not come to at most `most` bytes. `level` counts only without a dictionary.
std::optional<std::string> shrink(std::string_view bytes, const ZstdDictionary* dictionary, int level, std::size_t most);
// kCorrupted; kUnsupported without zstd.
Result<Payload> expand(std::string_view frame, const ZstdDictionary* dictionary);
// A dictionary of up to `most` bytes for things like these; empty where none helps: too few of them, or nothing that they share.
std::optional<std::string> train_dictionary(std::span<const Payload> samples, std::size_t most, int level);

}  // namespace setget::inline v0::redis
