// The official test suite of JSON Schema, as it lies in a folder: tests/ and remotes/.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <setget/json_schema.hpp>

namespace schema_test {

struct Case {
  std::string file{};  // "draft7/optional/bignum.json"
  std::string group{};
  std::string description{};  // empty: the schema itself does not compile
  std::string schema{};
  std::string data{};
  bool expected = false;
  std::string name() const { return file + " | " + group + " | " + description; }
};

// The folder's cases for a draft, in the order of files and of each file.
std::vector<Case> read_cases(const std::string& suite, setget::json_schema::Draft draft);
// http://localhost:1234/… from the folder remotes/.
setget::json_schema::Loader remotes(const std::string& suite);
// Options for a file of the suite: formats are asserted where it is about formats.
setget::json_schema::Options options_for(const std::string& suite, setget::json_schema::Draft draft, const std::string& file);
// Empty if the verdict (of bytes, of a document, and of the report) is the expected one; else what was wrong.
std::string run_case(const setget::json_schema::Validator& validator, const Case& one);

std::string read_file(const std::string& path);

}  // namespace schema_test
