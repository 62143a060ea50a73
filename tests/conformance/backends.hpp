// The backends of this project as the conformance kit wants them; the model tests use them too.
#pragma once

#include <functional>
#include <string>

#include <setget/testing/conformance.hpp>

namespace setget_tests {

// A fresh folder under TMPDIR, removed with all it holds when it is dropped.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

using setget::testing::ConformanceParams;

ConformanceParams memory_backend();
// Queue, key store and archive in one file.
ConformanceParams sqlite_backend();
// The same without waiting for the disk, for tests that need many steps and no durability.
ConformanceParams quick_sqlite_backend();
// Queue, key store and archive in a file each, so that nothing is fused.
ConformanceParams sqlite_apart_backend();
// The same backend behind decorators whose plan holds no fault: they must not show.
ConformanceParams decorated(ConformanceParams params, std::string name);

}  // namespace setget_tests
