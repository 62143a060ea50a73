// setget's Logger on spdlog, to standard error.
#pragma once

#include <memory>
#include <setget/observe.hpp>
#include <string>

namespace setget_server {

std::shared_ptr<setget::Logger> spdlog_logger(const std::string& level);

}  // namespace setget_server
