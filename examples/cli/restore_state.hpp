// The file by which `archive restore --state FILE` goes on after it was stopped or killed: how far it came, and with which conditions.
#pragma once

#include <optional>
#include <string>

#include <setget/archiver.hpp>

namespace cli {

class RestoreState {
 public:
  RestoreState(std::string path, const setget::RestoreOptions& options);
  // What an earlier restore left; empty where there is no file. kFailedPrecondition: it had other conditions; kInvalidArgument: no such
  // file.
  setget::Result<std::optional<setget::RestoreProgress>> load() const;
  // Replaces the file in one step. Throws std::runtime_error with the reason.
  void save(const setget::RestoreProgress& progress) const;
  void remove() const noexcept;

 private:
  const std::string path_;
  const std::string conditions_;
};

}  // namespace cli
