// What nearly every test includes, compiled once for all of them (cmake/SetgetTest.cmake). Each still includes what it uses: builds
// without SETGET_UNITY_TESTS go without this.
#pragma once
#include <gtest/gtest.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "setget/archive.hpp"
#include "setget/gateway.hpp"
#include "setget/pipeline.hpp"
