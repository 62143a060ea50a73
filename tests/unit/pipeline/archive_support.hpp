// A world with an archiver over it.
#pragma once

#include <set>

#include "support.hpp"

#include <setget/testing/forwarding.hpp>

namespace setget_test {

// Fails writes or checkpoints of the archive on request.
class FragileArchive final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    ++writes;
    if (writes_left == 0) return Error(ErrorCode::kUnavailable, "the archive is away");
    if (writes_left > 0) --writes_left;
    if (refused.empty()) return ForwardingArchive::write(request);
    // As a server does: only these are not written.
    std::vector<ArchiveEntry> others;
    for (const auto& entry : request.entries) {
      if (!refused.contains(entry.id)) others.push_back(entry);
    }
    auto written = ForwardingArchive::write({.entries = others, .deadline = request.deadline});
    if (!written) return written;
    std::vector<Result<ArchiveWrite>> results;
    auto next = written->begin();
    for (const auto& entry : request.entries) {
      if (refused.contains(entry.id)) {
        results.emplace_back(Error(ErrorCode::kOutOfSpace, "no room for " + entry.id));
      } else {
        results.push_back(std::move(*next++));
      }
    }
    return results;
  }
  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override {
    if (checkpoints_left == 0) return Error(ErrorCode::kUnavailable, "the archive is away");
    if (checkpoints_left > 0) --checkpoints_left;
    return ForwardingArchive::save_checkpoint(checkpoint);
  }
  int writes = 0;
  int writes_left = -1;                          // -1 = any number
  int checkpoints_left = -1;                     // the same; a run begins with one
  std::set<std::string, std::less<>> refused{};  // ids of entries that it does not take
};

struct ArchiveWorld : World {
  std::shared_ptr<FragileArchive> fragile;
  std::unique_ptr<Ingress> door;
  std::unique_ptr<Worker> hands;
  std::unique_ptr<Archiver> archiver;

  explicit ArchiveWorld(Flows flows = {}, std::size_t batch = 500) : World({}, std::move(flows)) {
    fragile = std::make_shared<FragileArchive>(archive);
    archive = fragile;
    door = ingress();
    hands = worker();
    archiver = make_archiver(batch);
  }

  std::unique_ptr<Archiver> make_archiver(std::size_t batch = 500) {
    ArchiverOptions options;
    options.key_store = key_store;
    options.archive = archive;
    options.policy = policy;
    options.batch = batch;
    options.clock = clock;
    return Archiver::create(std::move(options)).value();
  }

  Receipt set(SetRequest wanted) {
    auto receipt = door->set(std::move(wanted)).value();
    drain(*hands);
    return receipt;
  }
  void set_many(int count, const std::string& prefix = "r") {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(door->set(request(prefix + std::to_string(i), {prefix + "/" + std::to_string(i)})));
    }
    drain(*hands);
  }
  void erase(const std::string& id) {
    EraseRequest wanted;
    wanted.id = id;
    ASSERT_TRUE(door->erase(wanted));
    drain(*hands);
  }
  void reclaim() {
    const auto floor = plain_queue.backend()->oldest_unfinished().value();
    while (key_store.backend()->reclaim({.now = clock->now(), .floor = floor}).value().steps >= 1000) {
    }
  }
  Lookup archived(std::string_view id) { return archive->get_by_id({.ns = {}, .id = id, .now = clock->now()}).value(); }
  ArchiveStats archive_stats() { return archive->stats().value(); }
};

}  // namespace setget_test
