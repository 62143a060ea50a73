// The archive within a SQLite file, the store's own or another one. Narrow rows for what scans compare, the payloads beside them.
#pragma once

#include <memory>

#include <setget/archive.hpp>

namespace setget::inline v0::sqlite {

class Engine;
struct Room;

extern const Room kArchiveRoom;
std::shared_ptr<ArchiveBackend> make_archive(std::shared_ptr<Engine> engine);

}  // namespace setget::inline v0::sqlite
