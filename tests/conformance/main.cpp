// Runs the installed conformance kit over every embedded backend, over two openings of one file, and over the decorators.
#include <gtest/gtest.h>

#include "conformance/backends.hpp"

int main(int argc, char** argv) {
  using namespace setget_tests;
  using setget::testing::register_conformance;
  register_conformance(memory_backend());
  register_conformance(sqlite_backend());
  register_conformance(sqlite_apart_backend());
  register_conformance(decorated(memory_backend(), "decorated_memory"));
  register_conformance(decorated(sqlite_backend(), "decorated_sqlite"));
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
