// What crash tests do to a store, and what must be true of it afterwards whatever died in between.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/pipeline.hpp>
#include <setget/sqlite.hpp>

namespace crash {

// Small, so that the same identities and keys are hit again and again.
inline constexpr int kIdentities = 18;

// Content is a function of (identity, n): whoever finds a record can tell whether it is whole.
std::string id_of(int identity);
std::string payload_of(int identity, std::uint64_t n);
// n of a payload that payload_of() made; empty for anything else.
std::optional<std::uint64_t> number_in(std::string_view payload);
// One key that all versions have, one that moves between versions, and now and then one that identities take from each other.
std::vector<std::string> keys_of(int identity, std::uint64_t n);
setget::SetRequest request_of(int identity, std::uint64_t n);

// A queue without a limit of receives: each kill counts as one, and that many would be poison.
setget::QueueOptions queue_options();
// What every pipeline under test has in common: nothing runs by itself but what start() starts, and batches are small.
setget::PipelineOptions pipeline_options();
// A pipeline over one file.
setget::Result<std::unique_ptr<setget::Pipeline>> make_pipeline(setget::sqlite::Database database,
                                                                std::shared_ptr<const setget::Clock> clock = {},
                                                                std::shared_ptr<setget::Random> random = {});

class Oracle {
 public:
  // What was answered to a producer or reader before the crash.
  void acknowledged_set(int identity, std::uint64_t n, setget::Version version);
  void acknowledged_erase(int identity, setget::Version version);
  void will_erase(int identity);  // from now on the record may be gone, answered or not
  // False: it had been read in a later version before.
  bool seen(int identity, setget::Version version);
  // A line as victims print it; false if it is none, or says that a reader was taken back.
  bool line(std::string_view text);

  // Lets the pipeline work off its queue, then compares. Empty: all holds. Else what was lost. From the first check on a cursor of the
  // store is the oracle's: each identity's changes come to it in order and once, however often its messages were delivered.
  std::string check(setget::Pipeline& pipeline);
  std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Known {
    setget::Version version = 0;  // of the last answered set or erase
    std::uint64_t n = 0;          // of that set; 0 = it was an erase
    setget::Version seen = 0;     // highest that was ever read
    bool erase_under_way = false;
  };
  std::string drain(setget::Pipeline& pipeline);
  std::string check_ledger(setget::Pipeline& pipeline) const;
  std::string check_identity(setget::Pipeline& pipeline, int identity);
  std::string check_keys(setget::Pipeline& pipeline, const setget::Record& record) const;
  std::string check_log(setget::Pipeline& pipeline);

  std::map<int, Known> known_;
  std::map<std::string, std::pair<setget::Version, setget::Revision>> logged_;  // by identity: what its subscribers heard last
  std::uint64_t acknowledged_ = 0;
};

}  // namespace crash
