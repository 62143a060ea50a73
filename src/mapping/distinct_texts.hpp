// Texts in the order in which they came, each once, and where each is. Not copied. Thread rule: one thread.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace setget::inline v0::detail {

class DistinctTexts {
 public:
  std::optional<std::size_t> find(std::string_view text) const {
    if (sorted_.empty()) {
      const auto found = std::ranges::find(texts_, text);
      return found == texts_.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - texts_.begin()));
    }
    const auto found = sorted_.find(text);
    return found == sorted_.end() ? std::nullopt : std::optional(found->second);
  }
  // Precondition: it is not there.
  void add(std::string_view text) {
    texts_.push_back(text);
    if (!sorted_.empty())
      sorted_.emplace(text, texts_.size() - 1);
    else if (texts_.size() > kFew)
      for (std::size_t i = 0; i < texts_.size(); ++i) sorted_.emplace(texts_[i], i);
  }
  std::span<const std::string_view> texts() const noexcept { return texts_; }
  std::size_t size() const noexcept { return texts_.size(); }

 private:
  static constexpr std::size_t kFew = 16;  // so many are looked through faster than a tree is made
  std::vector<std::string_view> texts_;
  // Empty while they are few. No hash table: clients send these texts, and could choose them to have one hash.
  std::map<std::string_view, std::size_t> sorted_;
};

}  // namespace setget::inline v0::detail
