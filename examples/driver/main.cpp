// setget-run-driver API ADMIN CORPUS: what examples/run does once a server is up. With --mirror it reads two servers side by side.
#include <cstdio>
#include <exception>
#include <string_view>

#include "mirror.hpp"
#include "run.hpp"

namespace {

int report(const driver::Summary& summary) {
  const auto outcome = [&](const char* name) {
    const auto found = summary.outcomes.find(name);
    return found == summary.outcomes.end() ? std::size_t{0} : found->second;
  };
  std::printf("payloads       %zu\n", summary.payloads);
  std::printf("accepted       %zu  (and %zu sent again with the same Idempotency-Key: answered, not accepted twice)\n", summary.accepted,
              summary.replayed);
  std::printf("applied        %zu\n", outcome("applied"));
  std::printf("duplicate      %zu  (sent twice with one version on purpose)\n", outcome("duplicate"));
  std::printf("rejected       %zu  (sent broken on purpose)\n", summary.rejected);
  std::printf("dead-lettered  %zu\n", outcome("dead-lettered"));
  std::printf("read           %zu records by %zu keys, byte for byte\n", summary.records_read, summary.keys_read);
  std::printf("set call       p50 %.2f ms  p99 %.2f ms  %.0f sets/s until readable\n", summary.set_p50_ms, summary.set_p99_ms,
              summary.sets_per_second);
  std::printf("get call       p50 %.2f ms  p99 %.2f ms  %.0f gets/s\n", summary.get_p50_ms, summary.get_p99_ms, summary.gets_per_second);
  for (const auto& difference : summary.differences) std::printf("DIFFERENCE     %s\n", difference.c_str());
  return summary.differences.empty() ? 0 : 2;
}

// How many keys the second server answered as the first did.
int report(const driver::Mirrored& mirrored) {
  for (const auto& difference : mirrored.differences) std::printf("DIFFERENCE     %s\n", difference.c_str());
  if (!mirrored.differences.empty()) return 2;
  std::printf("%zu\n", mirrored.keys);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool mirrors = argc == 6 && std::string_view(argv[1]) == "--mirror";
  if (argc != 4 && !mirrors) {
    std::fprintf(stderr,
                 "usage: setget-run-driver http://HOST:PORT http://ADMIN_HOST:PORT CORPUS\n"
                 "       setget-run-driver --mirror http://HOST:PORT http://OTHER:PORT CORPUS (store|archive)\n");
    return 64;
  }
  try {
    if (mirrors) {
      const auto deliveries = driver::load_corpus(argv[4]);
      return report(driver::mirror(driver::parse_address(argv[2]), driver::parse_address(argv[3]), deliveries, argv[5]));
    }
    const auto deliveries = driver::load_corpus(argv[3]);
    return report(driver::run(driver::parse_address(argv[1]), driver::parse_address(argv[2]), deliveries));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "setget-run-driver: %s\n", error.what());
    return 1;
  }
}
