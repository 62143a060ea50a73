// Webhook deliveries out of @octokit/webhooks-examples' index.json, or a file of the same form. Thread rule: values.
#pragma once

#include <string>
#include <vector>

namespace driver {

struct Delivery {
  std::string id;  // as GitHub's X-GitHub-Delivery: generated, the corpus has none
  std::string event;
  std::vector<std::string> keys;
  std::string payload;   // the bytes that are sent and must come back
  bool one_line = true;  // for NDJSON
};

// Throws Failure with the file's name.
std::vector<Delivery> load_corpus(const std::string& path);

}  // namespace driver
