// simdjson reads past the end of its input, so what it parses is copied into a padded buffer of the thread; slices for the pipeline are cut
// from the original bytes by offset.
#pragma once

#include <simdjson.h>

#include <cstring>
#include <memory>
#include <string_view>

namespace setget::inline v0::detail {

class SimdjsonScratch {
 public:
  explicit SimdjsonScratch(std::string_view json) : slot_(local()), size_(json.size()) {
    if (slot_.capacity < json.size()) {
      slot_.bytes = std::make_unique<char[]>(json.size() + simdjson::SIMDJSON_PADDING);
      slot_.capacity = json.size();
    }
    if (!json.empty()) std::memcpy(slot_.bytes.get(), json.data(), json.size());
    std::memset(slot_.bytes.get() + json.size(), 0, simdjson::SIMDJSON_PADDING);
  }
  // One huge request must not keep its memory on every thread for ever.
  ~SimdjsonScratch() {
    if (slot_.capacity > kKeptBytes) slot_ = Slot();
  }
  SimdjsonScratch(const SimdjsonScratch&) = delete;
  SimdjsonScratch& operator=(const SimdjsonScratch&) = delete;

  simdjson::error_code iterate(simdjson::ondemand::document& document) {
    return slot_.parser.iterate(simdjson::padded_string_view(slot_.bytes.get(), size_, size_ + simdjson::SIMDJSON_PADDING)).get(document);
  }
  // Precondition: `part` is inside what was given.
  std::size_t offset_of(std::string_view part) const noexcept { return static_cast<std::size_t>(part.data() - slot_.bytes.get()); }

 private:
  static constexpr std::size_t kKeptBytes = 1u << 20;
  struct Slot {
    simdjson::ondemand::parser parser;
    std::unique_ptr<char[]> bytes = std::make_unique<char[]>(simdjson::SIMDJSON_PADDING);
    std::size_t capacity = 0;
  };
  static Slot& local() {
    thread_local Slot slot;
    return slot;
  }
  Slot& slot_;
  std::size_t size_;
};

}  // namespace setget::inline v0::detail
