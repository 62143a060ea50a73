# The queue suite on real Redis servers.
add_executable(conformance_redis_queue redis_queue.cpp "${PROJECT_SOURCE_DIR}/tests/support/redis_server.cpp")
setget_settings(conformance_redis_queue)
target_include_directories(conformance_redis_queue PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
target_link_libraries(conformance_redis_queue PRIVATE setget-room-redis setget-testing setget-core fmt::fmt OpenSSL::SSL GTest::gtest)
foreach(topology redis redis_parts sentinel cluster cluster_parts)
  add_test(NAME conformance_queue_${topology} COMMAND conformance_redis_queue --gtest_brief=1 "--gtest_filter=${topology}_queue.*")
  set_tests_properties(conformance_queue_${topology} PROPERTIES TIMEOUT 300 LABELS "conformance;redis")
endforeach()
