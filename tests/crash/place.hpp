// Where a pipeline that is killed keeps things, as it is told to victims.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <setget/pipeline.hpp>

namespace crash {

struct Place {
  std::string file;          // sqlite: everything that is not in Redis
  std::string redis{};       // URI of the key store; empty: in the file too
  std::string prefix{};      // of the names in Redis
  std::uint32_t parts = 0;   // of a new store and of new queues; 0 = what the backend chooses
  bool redis_queue = false;  // the queue is in Redis as well
  std::string archive{};     // mongodb:// URI of the archive; empty: in the file
  std::string collection{};  // of it
  bool history = false;      // every state of every record is kept

  std::vector<std::string> words() const;
  // Precondition: they came from words().
  static Place of(const std::vector<std::string>& words);
};

setget::Result<std::unique_ptr<setget::Pipeline>> open_pipeline(const Place& place);

}  // namespace crash
