// Item: one row of an upload, whatever format it came in. What file-process emits and product-manager takes. Thread rule: a value.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>
#include <setget/error.hpp>

namespace kairos {

struct Item {
  std::string file;          // name as uploaded
  std::uint64_t number = 0;  // within the file, from 1
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();
};

// An error stops the upload.
using ItemSink = std::function<setget::Result<void>(Item&& item)>;

}  // namespace kairos
