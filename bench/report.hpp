// What a bench line is, and how lines become the table and build/bench.json. Thread rule: one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bench {

// One measured figure. `ratio` is value / baseline; where there is a target, it is the ratio that is judged.
struct Line {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> baseline{};
  std::optional<double> target{};  // the "at least" ("at most" where lower is better); empty: only information
  std::optional<double> aim{};
  bool lower_is_better = false;

  std::optional<double> ratio() const;
  std::optional<bool> holds() const;
};

double median(std::vector<double> values);
// The value below which `share` (0..1) of the sorted or unsorted values lie (nearest rank).
double percentile(std::vector<double> values, double share);

// What both sides of a ratio did one after the other, `theirs` 0 where there is nobody to compare with. Of many turns the one with the
// middle ratio counts: what is measured in the same seconds is of the same machine, which may be fast in one turn and slow in the next.
struct Turn {
  double ours = 0;
  double theirs = 0;
};
Turn middle(std::vector<Turn> turns);

class Report {
 public:
  // Prints the line at once, so that a long run shows where it is.
  void add(Line line);
  const std::vector<Line>& lines() const { return lines_; }
  // True if every line that has a target holds.
  bool all_hold() const;
  void print_header() const;
  // Replaces lines of the same names that the file already has and keeps its others, so that `bench/run NAME` refreshes NAME alone.
  bool write_json(const std::string& path) const;

 private:
  std::vector<Line> lines_;
};

}  // namespace bench
