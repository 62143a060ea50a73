#include "corpus.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>

#include "http_client.hpp"

namespace driver {

namespace {

using Json = nlohmann::ordered_json;

std::string delivery_id(std::size_t number) {
  char text[40];
  std::snprintf(text, sizeof text, "%08zx-5e76-4e70-8000-%012zx", number * 2654435761u % 4294967296u, number);
  return text;
}

// The text at a path of object names; empty if it is not there.
std::string text_at(const Json& from, std::initializer_list<const char*> path) {
  const Json* at = &from;
  for (const char* name : path) {
    const auto found = at->is_object() ? at->find(name) : at->end();
    if (found == at->end()) return {};
    at = &*found;
  }
  return at->is_string() ? at->get<std::string>() : at->is_number_integer() ? at->dump() : std::string();
}

std::vector<std::string> keys_of(const std::string& event, const std::string& delivery, const Json& payload) {
  std::vector<std::string> keys = {"github/" + event + "/" + delivery};
  const auto add = [&](const char* prefix, const std::string& value) {
    if (!value.empty()) keys.push_back(prefix + value);
  };
  add("repository/", text_at(payload, {"repository", "full_name"}));
  add("sender/", text_at(payload, {"sender", "login"}));
  add("organization/", text_at(payload, {"organization", "login"}));
  add("installation/", text_at(payload, {"installation", "id"}));
  return keys;
}

}  // namespace

std::vector<Delivery> load_corpus(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const Json events = file ? Json::parse(file, nullptr, false) : Json();
  if (!events.is_array()) throw Failure(path + ": not a list of events");
  std::vector<Delivery> deliveries;
  for (const Json& event : events) {
    const std::string name = event.at("name").get<std::string>();
    for (const Json& payload : event.at("examples")) {
      Delivery delivery;
      delivery.id = delivery_id(deliveries.size() + 1);
      delivery.event = name;
      delivery.keys = keys_of(name, delivery.id, payload);
      // Every third in one line for NDJSON; the others with the white space that a store must not touch.
      delivery.one_line = deliveries.size() % 3 == 2;
      delivery.payload = payload.dump(delivery.one_line ? -1 : 2);
      deliveries.push_back(std::move(delivery));
    }
  }
  if (deliveries.empty()) throw Failure(path + ": no examples in it");
  return deliveries;
}

}  // namespace driver
