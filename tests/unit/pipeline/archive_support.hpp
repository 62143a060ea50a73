// A world with an archiver over it.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <utility>

#include "support.hpp"

#include <setget/testing/forwarding.hpp>

namespace setget_test {

// Fails writes or checkpoints of the archive on request.
class FragileArchive final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    const std::scoped_lock lock(mutex_);
    ++writes;
    for (const auto& entry : request.entries) {
      if (damaged_records.contains(entry.id) || damaged_lines.contains(entry.id)) {
        return std::vector<Result<ArchiveWrite>>{Error(ErrorCode::kCorrupted, "damaged: " + entry.id)};  // tests write such ones alone
      }
    }
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
  Result<std::optional<ArchiveCheckpoint>> load_checkpoint() override {
    if (before_checkpoint) std::exchange(before_checkpoint, nullptr)();
    return ForwardingArchive::load_checkpoint();
  }
  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override {
    if (checkpoints_left == 0) return Error(ErrorCode::kUnavailable, "the archive is away");
    if (checkpoints_left > 0) --checkpoints_left;
    return ForwardingArchive::save_checkpoint(checkpoint);
  }
  Result<std::size_t> remove_tagged(const RemoveTagged& request) override {
    for (const auto& one : request.documents) {
      damaged_records.erase(one.id);
      damaged_lines.erase(one.id);
    }
    return ForwardingArchive::remove_tagged(request);
  }
  Result<Lookup> get_by_id(const GetById& request) override {
    if (damaged_records.contains(request.id) || damaged_lines.contains(request.id)) return damaged(request.id);
    return ForwardingArchive::get_by_id(request);
  }
  Result<SummaryPage> scan(const ScanArchive& request) override {
    auto page = ForwardingArchive::scan(request);
    if (!page) return page;
    std::vector<Summary> healthy;
    for (auto& item : page->items) {
      if (!damaged_lines.contains(item.id) && !(request.with_records && damaged_records.contains(item.id))) {
        healthy.push_back(std::move(item));
        continue;
      }
      if (!request.over_damaged || !tells_damaged) return damaged(item.id);
      page->damaged.push_back({.hash = item.hash, .ns = item.ns, .id = item.id, .name = {}, .reason = damaged(item.id).message()});
    }
    page->items = std::move(healthy);
    return page;
  }
  // By the scan above.
  Result<std::vector<RangeDigest>> digest(const DigestArchive& request) override {
    if (!compares) return Error(ErrorCode::kUnavailable, "the archive is away");
    return ArchiveBackend::digest(request);
  }
  static Error damaged(std::string_view id) { return {ErrorCode::kCorrupted, "document " + std::string(id) + " is damaged"}; }

  std::set<std::string, std::less<>> damaged_records{};  // ids of what cannot be read
  std::set<std::string, std::less<>> damaged_lines{};    // nor its line
  bool tells_damaged = true;                             // scans go on behind them where that is asked for
  bool compares = true;
  std::function<void()> before_checkpoint{};  // once, before it is asked for
  int writes = 0;
  int writes_left = -1;                          // -1 = any number
  int checkpoints_left = -1;                     // the same; a run begins with one
  std::set<std::string, std::less<>> refused{};  // ids of entries that it does not take

 private:
  std::mutex mutex_;  // a run may write twice at once
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
