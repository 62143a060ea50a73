#include "spdlog_logger.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <exception>

namespace setget_server {
namespace {

spdlog::level::level_enum to_spdlog(setget::LogLevel level) noexcept {
  switch (level) {
    case setget::LogLevel::kDebug:
      return spdlog::level::debug;
    case setget::LogLevel::kInfo:
      return spdlog::level::info;
    case setget::LogLevel::kWarning:
      return spdlog::level::warn;
    case setget::LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Values may come from outside: a line break in one must not start a line of its own.
void append_value(std::string& line, std::string_view value) {
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    line += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  line += '"';
}

class SpdlogLogger final : public setget::Logger {
 public:
  explicit SpdlogLogger(const std::string& level) : logger_(spdlog::stderr_logger_mt("setget")) {
    logger_->set_level(spdlog::level::from_str(level));
    logger_->flush_on(spdlog::level::info);
  }
  bool enabled(setget::LogLevel level) const noexcept override { return logger_->should_log(to_spdlog(level)); }
  void log(setget::LogLevel level, std::string_view message, std::initializer_list<setget::LogField> fields) noexcept override {
    if (!enabled(level)) return;
    try {
      std::string line(message);
      for (const auto& field : fields) {
        line += ' ';
        line += field.name;
        line += '=';
        append_value(line, field.value);
      }
      logger_->log(to_spdlog(level), line);
    } catch (const std::exception&) {
      // A line that cannot be allocated is lost; the request that wanted it goes on.
      return;
    }
  }

 private:
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace

std::shared_ptr<setget::Logger> spdlog_logger(const std::string& level) { return std::make_shared<SpdlogLogger>(level); }

}  // namespace setget_server
