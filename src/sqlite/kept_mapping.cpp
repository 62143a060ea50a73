#include "sqlite/kept_mapping.hpp"

#include <type_traits>
#include <utility>

namespace setget::inline v0::sqlite {

void KeptMapping::attach(sqlite3* db) noexcept {
  static_assert(std::is_standard_layout_v<KeptMapping>, "the methods must lie at the object's address");
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == nullptr) return;
  if (file->pMethods == nullptr || file->pMethods->iVersion < 3) return;
  original_ = file->pMethods;
  if (original_->xFileSize(file, &mapped_) != SQLITE_OK) mapped_ = 0;
  methods_ = *original_;
  methods_.xUnfetch = [](sqlite3_file* of, sqlite3_int64 offset, void* page) { return unfetch(of, offset, page); };
  file->pMethods = &methods_;
}

int KeptMapping::unfetch(sqlite3_file* file, sqlite3_int64 offset, void* page) noexcept {
  auto& self = *const_cast<KeptMapping*>(reinterpret_cast<const KeptMapping*>(file->pMethods));
  if (page != nullptr) return self.original_->xUnfetch(file, offset, page);
  // Without a page it means: unmap everything. A file that grew needs a longer mapping; the size hint makes SQLite extend it (mremap), and
  // a chunk size keeps the hint from setting the file's length.
  sqlite3_int64 size = 0;
  const bool known = self.original_->xFileSize(file, &size) == SQLITE_OK;
  const auto before = std::exchange(self.mapped_, known ? size : 0);
  if (!known || before == 0 || size < before) return self.original_->xUnfetch(file, offset, page);
  if (size == before) return SQLITE_OK;
  int chunk = 1;
  self.original_->xFileControl(file, SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  return self.original_->xFileControl(file, SQLITE_FCNTL_SIZE_HINT, &size);
}

}  // namespace setget::inline v0::sqlite
