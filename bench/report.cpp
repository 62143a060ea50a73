#include "bench/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <nlohmann/json.hpp>

namespace bench {

namespace {

nlohmann::ordered_json number_or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json to_json(const Line& line) {
  const auto holds = line.holds();
  return {{"name", line.name},
          {"value", line.value},
          {"unit", line.unit},
          {"baseline", number_or_null(line.baseline)},
          {"ratio", number_or_null(line.ratio())},
          {"target", number_or_null(line.target)},
          {"aim", number_or_null(line.aim)},
          {"holds", holds ? nlohmann::ordered_json(*holds) : nlohmann::ordered_json(nullptr)}};
}

std::string cell(const std::optional<double>& value, const char* format) {
  if (!value) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, *value);
  return text;
}

}  // namespace

std::optional<double> Line::ratio() const {
  if (!baseline || *baseline == 0) return {};
  return value / *baseline;
}

std::optional<bool> Line::holds() const {
  const auto judged = ratio();
  if (!target || !judged) return {};
  return lower_is_better ? *judged <= *target : *judged >= *target;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Turn middle(std::vector<Turn> turns) {
  std::ranges::sort(turns, {}, [](const Turn& turn) { return turn.theirs > 0 ? turn.ours / turn.theirs : turn.ours; });
  return turns[turns.size() / 2];
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const std::size_t index = std::min(values.size() - 1, rank == 0 ? 0 : rank - 1);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index), values.end());
  return values[index];
}

void Report::print_header() const {
  std::printf("%-30s %12s %-9s %12s %8s %8s %8s  %s\n", "name", "value", "unit", "baseline", "ratio", "target", "aim", "holds");
}

void Report::add(Line line) {
  const auto holds = line.holds();
  const char* direction = line.lower_is_better ? "<=" : ">=";
  const std::string target = line.target ? direction + cell(line.target, "%.2f") : "-";
  const std::string aim = line.aim ? direction + cell(line.aim, "%.2f") : "-";
  std::printf("%-30s %12.1f %-9s %12s %8s %8s %8s  %s\n", line.name.c_str(), line.value, line.unit.c_str(),
              cell(line.baseline, "%.1f").c_str(), cell(line.ratio(), "%.3f").c_str(), target.c_str(), aim.c_str(),
              holds ? (*holds ? "yes" : "NO") : "-");
  std::fflush(stdout);
  lines_.push_back(std::move(line));
}

bool Report::all_hold() const {
  return std::none_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.holds() == false; });
}

bool Report::write_json(const std::string& path) const {
  nlohmann::ordered_json document = nlohmann::ordered_json::array();
  if (std::ifstream before(path); before) {
    const auto old = nlohmann::ordered_json::parse(before, nullptr, false);
    for (const auto& entry : old.is_array() ? old : nlohmann::ordered_json::array()) {
      const auto measured_now = [&](const Line& line) { return entry.is_object() && entry.value("name", "") == line.name; };
      if (std::none_of(lines_.begin(), lines_.end(), measured_now)) document.push_back(entry);
    }
  }
  for (const Line& line : lines_) document.push_back(to_json(line));
  // Written beside and renamed, so that a reader never sees half a file.
  const std::string partial = path + ".part";
  {
    std::ofstream out(partial, std::ios::trunc);
    out << document.dump(1) << '\n';
    if (!out.flush()) return false;
  }
  std::error_code failed;
  std::filesystem::rename(partial, path, failed);
  return !failed;
}

}  // namespace bench
