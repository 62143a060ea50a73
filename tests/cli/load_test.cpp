#include "command.hpp"

namespace cli_test {
namespace {

using Load = Command;

std::string envelope(int n) {
  return R"({"keys":["k)" + std::to_string(n) + R"("],"account":"acme","flow":"orders","payload":{"n":)" + std::to_string(n) + "}}";
}

TEST_F(Load, takes_lines_and_arrays_and_says_how_each_ended) {
  std::string lines;
  for (int i = 0; i < 1200; ++i) lines += envelope(i) + "\n";
  write("a.ndjson", lines);
  write("b.json", "[\n" + envelope(2000) + ",\n" + envelope(2001) + "\n]\n");
  const Ran ran = run({"load", "--json", "a.ndjson", "b.json"});
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_EQ(ran.json()["accepted"], 1202);
  EXPECT_EQ(ran.json()["applied"], 1202);
  EXPECT_EQ(run({"get", "k1199"}).out, R"({"n":1199})");
  EXPECT_EQ(run({"get", "k2001"}).out, R"({"n":2001})");
  const auto stats = run({"queue", "stats", "--json"}).json();
  EXPECT_EQ(stats["depth"], 0);
  EXPECT_EQ(stats["outcomes"]["applied"], 1202);
}

TEST_F(Load, names_file_and_line_of_what_it_refuses_and_loads_the_rest) {
  write("a.ndjson",
        envelope(1) + "\n{broken\n\n" + R"({"keys":[],"account":"acme","flow":"orders","payload":1})" + "\n" + envelope(2) + "\n");
  const Ran ran = run({"load", "--json", "a.ndjson"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.json()["applied"], 2);
  EXPECT_EQ(ran.json()["refused"], 2);
  EXPECT_EQ(ran.json()["errors"][0]["line"], 2);
  EXPECT_EQ(ran.json()["errors"][1]["line"], 4);
  const Ran as_text = run({"load", "a.ndjson"});
  EXPECT_NE(as_text.err.find("a.ndjson:2: refused"), std::string::npos) << as_text.err;
}

TEST_F(Load, reads_stdin_and_a_last_line_without_its_end) {
  EXPECT_EQ(run({"load", "-"}, envelope(1) + "\n" + envelope(2)).code, 0);
  EXPECT_EQ(run({"get", "k2"}).out, R"({"n":2})");
}

TEST_F(Load, what_stands_before_a_cut_is_loaded_and_the_cut_is_a_failure) {
  write("a.json", "[" + envelope(1) + "," + envelope(2).substr(0, 20));
  const Ran ran = run({"load", "--json", "a.json"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("cut off"), std::string::npos) << ran.err;
  EXPECT_EQ(run({"get", "k1"}).code, 0);
  EXPECT_EQ(run({"load", "nowhere.json"}).code, 1);
}

}  // namespace
}  // namespace cli_test
