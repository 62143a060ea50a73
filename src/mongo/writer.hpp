// Writing: bulks of guarded upserts. Thread rule: any thread.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

class Writer {
 public:
  explicit Writer(std::shared_ptr<Place> place) : place_(std::move(place)) {}

  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request);

 private:
  struct Work;
  class Bulk;
  Result<void> carry_out(std::vector<Work>& works, Deadline deadline);

  std::shared_ptr<Place> place_;
  // Whether documents have lately been new to the archive, as in a first copy: then inserting comes first and asking what is there only
  // after the server refused some. Else asking comes first.
  std::atomic<bool> mostly_new_{false};
};

}  // namespace setget::inline v0::mongo
