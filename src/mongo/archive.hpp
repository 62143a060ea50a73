// The seam on one Place. Thread rule: any thread.
#pragma once

#include <memory>

#include "mongo/place.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::mongo {

std::shared_ptr<ArchiveBackend> make_archive(std::shared_ptr<Place> place);

}  // namespace setget::inline v0::mongo
