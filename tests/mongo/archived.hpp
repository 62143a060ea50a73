// A store in memory and its archive on a server after a run. Thread rule: one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mongo/trial.hpp"

#include <setget/archiver.hpp>
#include <setget/memory.hpp>

namespace mongo_test {

struct Archived {
  explicit Archived(const mongo::Options& options, int count) : archive(options) {
    std::vector<ApplyEntry> sets;
    for (int i = 0; i < count; ++i) {
      ApplyEntry entry;
      entry.command.id = "r" + std::to_string(i);
      entry.command.keys = KeyList({"k/" + std::to_string(i), "l/" + std::to_string(i)});
      entry.command.account = "acme";
      entry.command.flow = "orders";
      entry.command.payload = Payload(std::string(i % 10 == 0 ? 3000 : 30, 'x') + std::to_string(i));
      entry.encoded = encode_command(entry.command);
      entry.stamp = stamp_at(system_clock()->now()) + static_cast<Stamp>(i);
      if (i % 3 == 0) entry.expires_at = system_clock()->now() + std::chrono::hours(24 * 90);
      sets.push_back(std::move(entry));
    }
    EXPECT_TRUE(store.backend()->apply({.entries = sets, .now = system_clock()->now()}));
    ArchiverOptions with;
    with.key_store = store;
    with.archive = archive.database().archive();
    with.policy = std::make_shared<TtlPolicy>(Flows{});
    with.batch = options.batch;
    archiver = Archiver::create(with).value();
    EXPECT_TRUE(archiver->run());
  }
  void change(const std::string& id, const std::string& update) {
    EXPECT_TRUE(archive.command(R"({"update": ")" + archive.options().collection + R"(", "updates": [{"q": {"id": ")" + id +
                                R"("}, "u": )" + update + "}]}"));
  }
  void reseal(const std::string& id, const std::function<void(std::string&)>& change) {
    ArchiveEntry entry{.ns = {}, .id = id};
    entry.record = store.get_by_id(id, system_clock()->now()).value().value();
    entry.version = entry.record.version;
    entry.revision = entry.record.revision;
    archive.reseal(entry, change);
  }
  std::map<std::string, Difference::Kind> verify(const VerifyOptions& how) {
    const auto report = archiver->verify(how).value();
    std::map<std::string, Difference::Kind> found;
    for (const auto& one : report.differences) found.emplace(one.id, one.kind);
    return found;
  }
  KeyStore store = memory::open().value().key_store();
  Archive archive;
  std::unique_ptr<Archiver> archiver;
};

}  // namespace mongo_test
