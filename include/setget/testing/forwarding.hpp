// Forwarding bases: derive from one of these to change a few verbs of a backend and hand the rest through. get() and get_async() are two
// verbs: who changes one changes the other too, or clears async_gets in capabilities() and lets get_async() call get(). What a store has at
// hand is not handed through: it would come past both.
// Thread rule: as the backend behind it.
#pragma once

#include <memory>
#include <utility>

#include <setget/archive.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0::testing {

class SETGET_API ForwardingQueue : public QueueBackend {
 public:
  explicit ForwardingQueue(std::shared_ptr<QueueBackend> inner) : inner_(std::move(inner)) {}
  ~ForwardingQueue() override;
  const std::shared_ptr<QueueBackend>& inner() const noexcept { return inner_; }

  QueueCapabilities capabilities() const override { return inner_->capabilities(); }
  Result<QueueInfo> create(const CreateQueue& request) override { return inner_->create(request); }
  Result<std::vector<QueueInfo>> list(Deadline deadline = Deadline::in(Milliseconds(30'000))) override { return inner_->list(deadline); }
  Result<void> remove(std::string_view name, Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->remove(name, deadline);
  }
  Result<std::vector<Result<SentMessage>>> send(const SendMessages& request) override { return inner_->send(request); }
  Result<std::vector<Message>> receive(const ReceiveMessages& request) override { return inner_->receive(request); }
  Result<std::vector<Result<void>>> settle(const SettleMessages& request) override { return inner_->settle(request); }
  Result<MessageStatus> find(const FindMessage& request) override { return inner_->find(request); }
  Result<QueueStats> stats(std::string_view queue, Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->stats(queue, deadline);
  }
  Result<std::vector<Message>> peek(const PeekMessages& request) override { return inner_->peek(request); }
  Result<DeadLetterPage> dead_letters(const ListDeadLetters& request) override { return inner_->dead_letters(request); }
  Result<std::size_t> redrive(const RedriveDeadLetters& request) override { return inner_->redrive(request); }
  Result<std::size_t> purge(const PurgeDeadLetters& request) override { return inner_->purge(request); }
  Result<Stamp> oldest_unfinished(Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->oldest_unfinished(deadline);
  }
  Result<std::size_t> maintain(const MaintainQueue& request) override { return inner_->maintain(request); }

 private:
  std::shared_ptr<QueueBackend> inner_;
};

class SETGET_API ForwardingKeyStore : public KeyStoreBackend {
 public:
  explicit ForwardingKeyStore(std::shared_ptr<KeyStoreBackend> inner) : inner_(std::move(inner)) {}
  ~ForwardingKeyStore() override;
  const std::shared_ptr<KeyStoreBackend>& inner() const noexcept { return inner_; }

  KeyStoreCapabilities capabilities() const override { return inner_->capabilities(); }
  Result<StoreIdentity> identity(Deadline deadline = Deadline::in(Milliseconds(30'000))) override { return inner_->identity(deadline); }
  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) override { return inner_->apply(request); }
  // Looks through the forwarding queues around a queue.
  FusedStore* fused_with(QueueBackend& queue) override;
  Result<std::vector<Lookup>> get(const GetRecords& request) override { return inner_->get(request); }
  Result<Lookup> get_by_id(const GetById& request) override { return inner_->get_by_id(request); }
  Result<ListPage> list(const ListRecords& request) override { return inner_->list(request); }
  Result<SummaryPage> scan(const ScanRecords& request) override { return inner_->scan(request); }
  Result<CursorInfo> open_cursor(const OpenCursor& request) override { return inner_->open_cursor(request); }
  Result<ChangeBatch> changes(const ReadChanges& request) override { return inner_->changes(request); }
  Result<void> commit_cursor(std::string_view name, Position position, Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->commit_cursor(name, position, deadline);
  }
  Result<std::vector<CursorInfo>> cursors(Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->cursors(deadline);
  }
  Result<void> drop_cursor(std::string_view name, Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->drop_cursor(name, deadline);
  }
  Result<bool> wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline = {}) override {
    return inner_->wait_for_changes(after, wait, deadline);
  }
  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries,
                                               Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->set_expiry(entries, deadline);
  }
  Result<Reclaimed> reclaim(const Reclaim& request) override { return inner_->reclaim(request); }
  Result<StoreStats> stats(Deadline deadline = Deadline::in(Milliseconds(30'000))) override { return inner_->stats(deadline); }
  void get_async(const GetRecords& request, GetDone done) override { inner_->get_async(request, std::move(done)); }
  Result<std::vector<RangeDigest>> digest(const DigestRecords& request) override { return inner_->digest(request); }
  Result<std::vector<Lookup>> get_by_ids(const GetByIds& request) override { return inner_->get_by_ids(request); }
  Result<HistoryBatch> history(const ReadHistory& request) override { return inner_->history(request); }
  Result<void> confirm_history(std::span<const OutboxPlace> places, Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->confirm_history(places, deadline);
  }
  Result<std::vector<Result<bool>>> begin_history(std::span<const BeginHistory> entries,
                                                  Deadline deadline = Deadline::in(Milliseconds(30'000))) override {
    return inner_->begin_history(entries, deadline);
  }

 private:
  std::shared_ptr<KeyStoreBackend> inner_;
};

class SETGET_API ForwardingArchive : public ArchiveBackend {
 public:
  explicit ForwardingArchive(std::shared_ptr<ArchiveBackend> inner) : inner_(std::move(inner)) {}
  ~ForwardingArchive() override;
  const std::shared_ptr<ArchiveBackend>& inner() const noexcept { return inner_; }

  ArchiveCapabilities capabilities() const override { return inner_->capabilities(); }
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override { return inner_->write(request); }
  Result<std::vector<Lookup>> get(const GetRecords& request) override { return inner_->get(request); }
  Result<Lookup> get_by_id(const GetById& request) override { return inner_->get_by_id(request); }
  Result<SummaryPage> scan(const ScanArchive& request) override { return inner_->scan(request); }
  Result<std::size_t> reclaim(const ReclaimArchive& request) override { return inner_->reclaim(request); }
  Result<std::size_t> remove(std::span<const ArchiveId> ids) override { return inner_->remove(ids); }
  Result<std::optional<ArchiveCheckpoint>> load_checkpoint() override { return inner_->load_checkpoint(); }
  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override { return inner_->save_checkpoint(checkpoint); }
  Result<ArchiveStats> stats() override { return inner_->stats(); }
  Result<void> quarantine(std::span<const QuarantinedEntry> entries) override { return inner_->quarantine(entries); }
  Result<QuarantinePage> quarantined(const ListQuarantine& request) override { return inner_->quarantined(request); }
  Result<std::size_t> release(std::span<const ArchiveId> ids) override { return inner_->release(ids); }
  Result<std::vector<RangeDigest>> digest(const DigestArchive& request) override { return inner_->digest(request); }
  Result<std::size_t> write_history(const WriteHistory& request) override { return inner_->write_history(request); }
  Result<HistoryLookup> get_history(const GetHistory& request) override { return inner_->get_history(request); }
  Result<SummaryPage> scan_history(const ScanHistory& request) override { return inner_->scan_history(request); }
  Result<std::string> history_of() override { return inner_->history_of(); }
  Result<std::string> tag(const GetById& request) override { return inner_->tag(request); }
  Result<std::size_t> remove_tagged(const RemoveTagged& request) override { return inner_->remove_tagged(request); }
  // The verbs with a deadline are left to those without, so that who overrides one of these meets every call of it.

 private:
  std::shared_ptr<ArchiveBackend> inner_;
};

}  // namespace setget::inline v0::testing
