// kairos-demo FILE [STORE]: sends a file that holds a multipart upload, as a browser would send it, through the three modules into a setget
// store (default: kairos.db), and reads every product back by its webhook key.
#include <cstdio>
#include <fstream>
#include <string>

#include <setget/setget.hpp>
#include <setget/sqlite.hpp>

#include "products/upload_route.hpp"

namespace {

int fail(const setget::Error& error) {
  std::fprintf(stderr, "kairos-demo: %s\n", error.describe().c_str());
  return 1;
}

// A multipart body begins with "--boundary"; over HTTP the same stands in the Content-Type header.
std::string content_type_of(std::ifstream& file) {
  std::string line;
  std::getline(file, line);
  file.seekg(0);
  if (line.ends_with('\r')) line.pop_back();
  return "multipart/form-data; boundary=\"" + (line.starts_with("--") ? line.substr(2) : std::string()) + "\"";
}

int run(std::ifstream& file, const std::string& path) {
  setget::sqlite::Options file_options;
  file_options.path = path;
  auto database = setget::sqlite::open(std::move(file_options));
  if (!database) return fail(database.error());
  setget::PipelineOptions options;
  options.queue = database->queue("records");
  options.key_store = database->key_store();
  auto pipeline = setget::Pipeline::create(std::move(options));
  if (!pipeline) return fail(pipeline.error());
  if (auto started = (*pipeline)->start(); !started) return fail(started.error());

  const kairos::ProductManager manager;
  kairos::Products products(**pipeline);
  auto upload = kairos::Upload::create(content_type_of(file), manager, products);
  if (!upload) return fail(upload.error());
  std::string chunk(64u << 10, '\0');
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() > 0) {
    auto fed = (*upload)->feed(std::string_view(chunk).substr(0, static_cast<std::size_t>(file.gcount())));
    if (!fed) return fail(fed.error());
  }
  const auto report = (*upload)->finish();
  if (!report) return fail(report.error());
  if (auto flushed = (*pipeline)->flush(setget::Deadline::in(std::chrono::minutes(1))); !flushed) return fail(flushed.error());

  for (const auto& key : report->first_keys) {
    const auto product = products.find(key);
    if (!product) return fail(product.error());
    std::printf("%s  %s\n", key.c_str(), *product ? (*product)->dump().c_str() : "(not found)");
  }
  for (const auto& why : report->refused) std::printf("refused  %s\n", why.c_str());
  std::printf("items %llu  accepted %llu  refused %llu\n", static_cast<unsigned long long>(report->items),
              static_cast<unsigned long long>(report->accepted), static_cast<unsigned long long>(report->refused_count));
  return report->refused_count == 0 ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: kairos-demo FILE [STORE]\nexit: 0 all stored, 1 failed, 2 some items were refused\n");
    return 64;
  }
  std::ifstream file(argv[1], std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "kairos-demo: cannot read %s\n", argv[1]);
    return 1;
  }
  return run(file, argc == 3 ? argv[2] : "kairos.db");
}
