// How answers are printed: one JSON document on stdout with --json, else text for people. Errors go to stderr in both forms.
// Thread rule: one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>
#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/queue.hpp>

#include "session.hpp"

namespace cli {

using Json = nlohmann::ordered_json;

std::string base64(std::string_view bytes);
// `name` where the bytes are UTF-8, else `name`_base64: ids and keys may be any bytes.
void put_bytes(Json& object, const std::string& name, std::string_view bytes);
// For terminals: control characters and what is not UTF-8 become \xNN, so that stored bytes cannot drive the terminal.
std::string shown(std::string_view bytes);
// "2026-03-01T02:00:00.000Z"
std::string iso(setget::TimePoint time);
Json iso_or_null(const std::optional<setget::TimePoint>& time);
// "850ms", "12.3s", "4m", "7h", "3d"
std::string age(setget::Milliseconds length);
Json reasons_json(const std::vector<setget::Reason>& reasons);

void print(const Json& document);
// Prints the error and gives kFailed.
int failed(const Common& common, const setget::Error& error);

}  // namespace cli
