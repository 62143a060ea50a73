# setget_test(name SOURCES … LINKS … [TIMEOUT seconds] [LABELS …]): one GoogleTest executable, registered with ctest as one test per suite file.
include(GoogleTest)
set(SETGET_TEST_TIME_FACTOR 1 CACHE STRING "Multiplies the tests' time limits: for their long forms, and for slow machines")
option(SETGET_UNITY_TESTS "Compile tests and the command line in unity builds, tests with precompiled headers and little optimisation: from scratch in a third of the time" OFF)
set(SETGET_TESTS_NOT_BUILT "" CACHE STRING "Tests with one of these labels are built only when they are named: for builds that run others (a list)")
# How a test's own files are compiled, where SETGET_UNITY_TESTS is on.
function(setget_compile_quickly target)
  if(NOT SETGET_UNITY_TESTS)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON)
  # GCC takes the file that includes them for a header, whose types should not derive from those of an anonymous namespace.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  # Half of the compiler's time for a test's own code, where the test does not spend its own.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  # A quarter of it for what nearly all of them include; ccache keeps what used it if CCACHE_SLOPPINESS allows (tests/run).
  if(target STREQUAL "setget-test-time-limit")
    # Not by its whole name, so that it is the same in every clone.
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_precompile_headers(${target} PRIVATE <support/precompiled.hpp>)
    if(CMAKE_CXX_COMPILER_LAUNCHER)
      # GCC knows a header again by its size and digest. What ccache finds by preprocessed text can be of one whose comments were
      # others: every test would then meet its contents twice.
      set_target_properties(${target} PROPERTIES CXX_COMPILER_LAUNCHER
        "${CMAKE_COMMAND};-E;env;CCACHE_DEPEND=1;${CMAKE_CXX_COMPILER_LAUNCHER}")
    endif()
  else()
    target_precompile_headers(${target} REUSE_FROM setget-test-time-limit)
  endif()
  # So that ccache can tell it by its content.
  target_compile_options(${target} PRIVATE "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endfunction()
function(setget_test name)
  cmake_parse_arguments(t "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT TARGET setget-test-time-limit)
    # In every test: names the one that hangs, a moment before ctest ends its program.
    add_library(setget-test-time-limit OBJECT "${PROJECT_SOURCE_DIR}/tests/support/time_limit.cpp")
    setget_settings(setget-test-time-limit)
    target_link_libraries(setget-test-time-limit PRIVATE GTest::gtest)
    # As it is for programs, or its precompiled headers were of no use to them.
    set_target_properties(setget-test-time-limit PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(setget-test-time-limit PRIVATE ${CMAKE_CXX_COMPILE_OPTIONS_PIE})
    target_include_directories(setget-test-time-limit PRIVATE "${PROJECT_SOURCE_DIR}/include")
    setget_compile_quickly(setget-test-time-limit)
  endif()
  add_executable(${name} ${t_SOURCES})
  setget_settings(${name})
  foreach(label IN LISTS t_LABELS)
    if(label IN_LIST SETGET_TESTS_NOT_BUILT)
      set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL YES)
    endif()
  endforeach()
  if(SETGET_UNITY_TESTS)
    # What a test is made of besides tests stays apart: a mutant takes its place (tests/mutants/run.py).
    set(of_the_library ${t_SOURCES})
    list(FILTER of_the_library INCLUDE REGEX "^${PROJECT_SOURCE_DIR}/src/")
    set_source_files_properties(${of_the_library} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
  setget_compile_quickly(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${name} PRIVATE setget-test-time-limit ${t_LINKS} GTest::gtest GTest::gtest_main)
  if(NOT t_TIMEOUT)
    set(t_TIMEOUT 120)
  endif()
  math(EXPR t_TIMEOUT "${t_TIMEOUT} * ${SETGET_TEST_TIME_FACTOR}")
  if(SETGET_SANITIZE)
    math(EXPR t_TIMEOUT "${t_TIMEOUT} * 3") # everything takes several times as long
  endif()
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  math(EXPR seconds "${t_TIMEOUT} - 5")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${t_TIMEOUT} LABELS "${t_LABELS}" ENVIRONMENT "SETGET_TEST_SECONDS=${seconds}")
endfunction()
