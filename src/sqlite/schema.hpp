// The tables of queue and key store. docs/adr explains the log layout: a message's row becomes the record's row.
#pragma once

#include "sqlite/engine.hpp"

namespace setget::inline v0::sqlite {

extern const Room kCoreRoom;

}  // namespace setget::inline v0::sqlite
