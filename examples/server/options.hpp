// The command line of setget-server: flags win over the file, the file over the defaults.
#pragma once

#include <setget/config.hpp>
#include <string>
#include <variant>

namespace setget_server {

struct Options {
  setget::Config config;
  std::string config_path;  // empty: none was given
  std::string log_level = "info";
};

// Options, or the exit code of a process that has said what it had to say (--help, --version, a mistake).
std::variant<Options, int> read_options(int argc, char** argv);

}  // namespace setget_server
