// A reader that falls back to an archive, with faults in front of both, and gets that run while a test goes on.
#pragma once

#include "support.hpp"

#include <future>

namespace setget_test {

using setget::testing::FaultyArchive;

// Opens its gate at the latest when a test ends: whatever waits there must end before the reader does.
class Hold {
 public:
  ~Hold() { gate_->open(); }
  void open() { gate_->open(); }
  bool reached(std::size_t callers = 1) { return gate_->wait_for_callers(callers, patience()); }
  Fault at(std::string verb, FaultKind kind = FaultKind::kStall, std::size_t times = 1) const {
    return {.verb = std::move(verb), .kind = kind, .times = times, .gate = gate_};
  }

 private:
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

class ThroughTest : public ::testing::Test {
 protected:
  ThroughTest() {
    archive_ = std::make_shared<FaultyArchive>(world_.archive, faults_);
    through_.timeout = std::chrono::seconds(60);
  }

  // Into the archive only, as if the store had lost it.
  void archive(const std::string& id, std::vector<std::string> keys, std::optional<TimePoint> expires_at = {}) {
    ArchiveEntry entry;
    entry.id = id;
    entry.version = 5;
    entry.record.id = id;
    entry.record.keys = KeyList(std::span<const std::string>(keys));
    entry.record.account = "acme";
    entry.record.flow = "orders";
    entry.record.payload = "{}";
    entry.record.content_type = "application/json";
    entry.record.version = 5;
    entry.record.stamp = 5;
    entry.record.expires_at = expires_at;
    const std::vector<ArchiveEntry> entries{entry};
    ASSERT_TRUE(world_.archive->write({.entries = entries}));
  }
  void open() {
    reader_.reset();
    reader_ = Reader::create({.key_store = world_.key_store,
                              .archive = archive_,
                              .read_through = true,
                              .through = through_,
                              .clock = world_.clock,
                              .metrics = metrics_})
                  .value();
  }
  void apply(SetRequest&& set) {
    ASSERT_TRUE(world_.ingress()->set(std::move(set)));
    drain_all();
  }
  void erase(EraseRequest&& request) {
    ASSERT_TRUE(world_.ingress()->erase(std::move(request)));
    drain_all();
  }
  void drain_all() {
    auto worker = world_.worker();
    drain(*worker);
  }

  // A get on its way.
  std::future<Result<Found>> ask(std::string_view key, Deadline deadline = patience()) {
    auto promise = std::make_shared<std::promise<Result<Found>>>();
    auto answer = promise->get_future();
    reader_->find_async(key, {}, deadline, [promise](Result<Found> found) { promise->set_value(std::move(found)); });
    return answer;
  }
  static std::string id_of(const Result<Found>& found) {
    if (!found) return found.error().describe();
    return found->record ? found->record->id : "none";
  }
  std::string get(std::string_view key) { return id_of(reader_->find(key)); }
  std::size_t questions() const { return faults_->calls("get") + faults_->calls("get_by_id"); }
  bool told(std::string_view line) const { return metrics_->expose().find(line) != std::string::npos; }

  World world_;
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<ArchiveBackend> archive_;
  std::shared_ptr<PrometheusMetrics> metrics_ = std::make_shared<PrometheusMetrics>();
  ReadThroughOptions through_{};
  std::unique_ptr<Reader> reader_;
};

}  // namespace setget_test
