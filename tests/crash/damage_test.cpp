// Damaged files: truncated anywhere, bytes overwritten anywhere, in the file and in its log. Opening and reading give what was set or say
// that something is wrong; they never crash, hang or give anything else.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "crash/oracle.hpp"
#include "crash/temporary_folder.hpp"

#include <setget/testing/clock.hpp>

namespace {

using namespace setget;
using crash::TemporaryFolder;
using setget::testing::SeededRandom;

constexpr std::uint64_t kSets = 90;

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_all(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A healthy file with its log, and everything that was ever set into it: by id, what a reader may see.
struct Original {
  std::string file;
  std::string log;
  std::map<std::string, std::map<Version, std::uint64_t>> sets;
};

Original make_original() {
  const TemporaryFolder folder;
  const auto path = folder.path("original.db");
  Original original;
  auto database = sqlite::open({.path = path}).value();
  auto pipeline = crash::make_pipeline(database).value();
  for (std::uint64_t n = 1; n <= kSets; ++n) {
    const int identity = static_cast<int>(n * 7 % crash::kIdentities);
    const auto receipt = pipeline->set(crash::request_of(identity, n)).value();
    original.sets[receipt.id][receipt.version] = n;
    if (n % 10 == 0) {
      EXPECT_TRUE(pipeline->run_once());
    }
    // So that both the file and its log hold a good part.
    if (n == kSets / 2) {
      EXPECT_TRUE(pipeline->archiver()->run());
      EXPECT_TRUE(database.checkpoint());
    }
  }
  EXPECT_TRUE(pipeline->run_once());
  EXPECT_TRUE(pipeline->archiver()->run());
  original.file = read_all(path);
  original.log = read_all(path + "-wal");
  return original;
}

void damage(std::string& bytes, SeededRandom& random) {
  if (bytes.empty()) return;
  if (random.next() % 3 == 0) {
    bytes.resize(random.next() % bytes.size());
    return;
  }
  const auto places = 1 + random.next() % 4;
  for (std::uint64_t i = 0; i < places; ++i) {
    const auto at = random.next() % bytes.size();
    const auto length = std::min<std::uint64_t>(random.next() % 2 == 0 ? 1 : 1 + random.next() % 600, bytes.size() - at);
    for (std::uint64_t k = 0; k < length; ++k) bytes[at + k] = static_cast<char>(random.next());
  }
}

class Examination {
 public:
  explicit Examination(const Original& original) : original_(original) {}

  void open_and_read(const std::string& path) {
    auto database = sqlite::open({.path = path, .busy_timeout = Milliseconds(500)});
    if (!database) return said(database.error());
    read_archive(*database->archive());
    auto pipeline = crash::make_pipeline(*database);
    if (!pipeline) return said(pipeline.error());
    for (int identity = 0; identity < crash::kIdentities; ++identity) read_identity(**pipeline, identity);
    read_scan(*database->key_store().backend());
    note((*pipeline)->run_once());
    note((*pipeline)->set(crash::request_of(0, kSets + 1)));
    note((*pipeline)->run_once());
    note((*pipeline)->archiver()->run());
    note((*pipeline)->archiver()->verify({.deep = true}));
    note(database->doctor());
    note(database->checkpoint());
  }

  std::size_t found() const { return found_; }
  std::size_t missing() const { return missing_; }
  std::size_t errors() const { return errors_; }

 private:
  template <class T>
  void note(const Result<T>& result) {
    if (!result) said(result.error());
  }
  // Clear: says that it is damaged, or is what an undamaged but unfinished state says.
  void said(const Error& error) {
    ++errors_;
    const std::set<ErrorCode> clear{ErrorCode::kCorrupted,          ErrorCode::kUnsupported, ErrorCode::kUnavailable,
                                    ErrorCode::kFailedPrecondition, ErrorCode::kNotFound,    ErrorCode::kOutOfSpace};
    EXPECT_TRUE(clear.contains(error.code())) << to_string(error.code()) << ": " << error.message();
    EXPECT_FALSE(error.message().empty());
  }

  void check(const Record& record) {
    ++found_;
    const auto identity = original_.sets.find(record.id);
    if (identity == original_.sets.end()) {
      EXPECT_EQ(record.payload.str(), crash::payload_of(0, kSets + 1)) << "a record that nobody set: " << record.id;
      return;
    }
    const int number = std::stoi(record.id.substr(record.id.find('-') + 1));
    const auto set = identity->second.find(record.version);
    const auto n = set == identity->second.end() ? kSets + 1 : set->second;
    EXPECT_EQ(record.payload.str(), crash::payload_of(number, n)) << record.id << " version " << record.version;
    const auto keys = crash::keys_of(number, n);
    EXPECT_EQ(record.keys, KeyList(std::span<const std::string>(keys))) << record.id;
    EXPECT_EQ(record.account, "acme");
    EXPECT_EQ(record.content_type, "text/plain");
    EXPECT_FALSE(record.expires_at);
  }

  void read_identity(Pipeline& pipeline, int identity) {
    auto found = pipeline.reader().get_by_id(crash::id_of(identity));
    if (!found) {
      said(found.error());
    } else if (*found) {
      check(**found);
    } else {
      ++missing_;
    }
    for (const auto& key : crash::keys_of(identity, 0)) {
      auto by_key = pipeline.get(key);
      if (!by_key) {
        said(by_key.error());
      } else if (*by_key) {
        check(**by_key);
        EXPECT_TRUE((*by_key)->keys.contains(key)) << "found by a key that it does not list: " << key;
      }
    }
  }

  void read_scan(KeyStoreBackend& store) {
    std::string cursor;
    do {
      auto page = store.scan({.cursor = cursor, .limit = 7, .with_records = true});
      if (!page) return said(page.error());
      for (const auto& item : page->items) {
        if (item.record) check(*item.record);
      }
      cursor = page->next;
    } while (!cursor.empty());
  }

  void read_archive(ArchiveBackend& archive) {
    std::string cursor;
    do {
      auto page = archive.scan({.cursor = cursor, .limit = 7, .with_records = true});
      if (!page) return said(page.error());
      for (const auto& item : page->items) {
        if (item.record) check(*item.record);
      }
      cursor = page->next;
    } while (!cursor.empty());
  }

  const Original& original_;
  std::size_t found_ = 0;
  std::size_t missing_ = 0;
  std::size_t errors_ = 0;
};

class Damage : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { original_ = new Original(make_original()); }
  static void TearDownTestSuite() {
    delete original_;
    original_ = nullptr;
  }
  // What was found and what was reported over all trials: both must happen, or the test shows nothing.
  template <class Spoil>
  void try_many(int trials, Spoil spoil) {
    std::size_t found = 0;
    std::size_t with_errors = 0;
    for (int trial = 0; trial < trials; ++trial) {
      SeededRandom random(static_cast<std::uint64_t>(trial));
      auto file = original_->file;
      auto log = original_->log;
      spoil(file, log, random);
      const TemporaryFolder folder;
      const auto path = folder.path("damaged.db");
      write_all(path, file);
      write_all(path + "-wal", log);
      Examination examination(*original_);
      examination.open_and_read(path);
      ASSERT_FALSE(HasFailure()) << "trial " << trial;
      if (examination.errors() == 0 && file == original_->file) {
        EXPECT_GT(examination.found(), 0u) << "silently empty, trial " << trial;
      }
      found += examination.found();
      with_errors += examination.errors() > 0 ? 1 : 0;
    }
    EXPECT_GT(found, 0u);
    RecordProperty("trials_with_errors", static_cast<int>(with_errors));
  }
  static Original* original_;
};
Original* Damage::original_ = nullptr;

TEST_F(Damage, a_healthy_copy_reads_back_whole) {
  const TemporaryFolder folder;
  const auto path = folder.path("copy.db");
  write_all(path, original_->file);
  write_all(path + "-wal", original_->log);
  Examination examination(*original_);
  examination.open_and_read(path);
  EXPECT_EQ(examination.errors(), 0u);
  EXPECT_EQ(examination.missing(), 0u);
  EXPECT_GT(examination.found(), static_cast<std::size_t>(3 * crash::kIdentities));
}

TEST_F(Damage, in_the_file_gives_an_error_or_what_was_set) {
  try_many(250, [](std::string& file, std::string&, SeededRandom& random) { damage(file, random); });
}

TEST_F(Damage, in_the_log_gives_an_earlier_state_or_what_was_set) {
  try_many(250, [](std::string&, std::string& log, SeededRandom& random) { damage(log, random); });
}

TEST_F(Damage, in_both_gives_an_error_or_what_was_set) {
  try_many(100, [](std::string& file, std::string& log, SeededRandom& random) {
    damage(file, random);
    damage(log, random);
  });
}

TEST_F(Damage, a_file_that_is_no_database_is_refused_and_left_as_it_is) {
  const TemporaryFolder folder;
  const auto path = folder.path("foreign");
  const std::string text = "this is a text that somebody may want to keep\n" + std::string(8000, 'x');
  write_all(path, text);
  const auto database = sqlite::open({.path = path});
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code(), ErrorCode::kCorrupted);
  EXPECT_EQ(read_all(path), text);
}

// --- one page of a file without a log ------------------------------------------------------------------------------------------

// All that readers find in a store, by key and by id.
class Content {
 public:
  static Content of(const sqlite::Options& options) {
    auto database = sqlite::open(options).value();
    Content content;
    for (int n = 0; n < kRecords; ++n) content.expected_["id " + id_of(n)] = text_of(by_id(database, id_of(n)).value());
    for (const auto& key : all_keys()) content.expected_["key " + key] = text_of(by_key(database, key).value());
    return content;
  }

  // What is not as it was although nothing said that it is damaged.
  std::vector<std::string> missing(sqlite::Database& database) const {
    std::vector<std::string> out;
    const auto compare = [&](const std::string& name, const Result<Lookup>& found) {
      if (found && text_of(*found) != expected_.at(name)) out.push_back(name + " is " + text_of(*found));
    };
    for (int n = 0; n < kRecords; ++n) compare("id " + id_of(n), by_id(database, id_of(n)));
    for (const auto& key : all_keys()) compare("key " + key, by_key(database, key));
    return out;
  }

  static void fill(sqlite::Database& database) {
    auto pipeline = crash::make_pipeline(database).value();
    for (int n = 0; n < kRecords; ++n) {
      auto request = crash::request_of(0, 1);
      request.id = id_of(n);
      const auto keys = keys_of(n);
      request.keys = KeyList(std::span<const std::string>(keys));
      request.payload = Payload(crash::payload_of(n, 1).substr(0, n % 10 == 0 ? 3000 : 150));
      if (n % 5 == 0) request.ttl = Ttl::after(std::chrono::hours(24));
      pipeline->set(std::move(request)).value();
      if (n % 25 == 24) {
        EXPECT_TRUE(pipeline->run_once());
      }
    }
    const auto applied = [&] {
      return Queue(pipeline->options().queue).stats().value().outcomes[static_cast<std::size_t>(Outcome::kApplied)];
    };
    const auto deadline = Deadline::in(std::chrono::seconds(30));
    while (applied() < kRecords && !deadline.passed()) {
      EXPECT_TRUE(pipeline->run_once(Deadline::in(Milliseconds(50))));
    }
  }

 private:
  static constexpr int kRecords = 150;
  static std::string id_of(int n) { return "record-" + std::to_string(n); }
  // Each takes a key from the record before it.
  static std::vector<std::string> keys_of(int n) {
    return {"own/" + std::to_string(n), "alias/" + std::to_string(n), "shared/" + std::to_string(n / 2)};
  }
  static std::set<std::string> all_keys() {
    std::set<std::string> keys;
    for (int n = 0; n < kRecords; ++n) {
      for (auto& key : keys_of(n)) keys.insert(std::move(key));
    }
    return keys;
  }
  static Result<Lookup> by_id(sqlite::Database& database, const std::string& id) {
    return database.key_store().backend()->get_by_id({.ns = {}, .id = id, .now = system_clock()->now()});
  }
  static Result<Lookup> by_key(sqlite::Database& database, const std::string& key) {
    const std::string_view one = key;
    auto found = database.key_store().backend()->get({.ns = {}, .keys = std::span(&one, 1), .now = system_clock()->now()});
    if (!found) return std::move(found).error();
    return std::move(found->at(0));
  }
  static std::string text_of(const Lookup& lookup) {
    if (!lookup.record) return lookup.status == Lookup::Status::kGone ? "gone" : "unknown";
    const auto& record = *lookup.record;
    std::string text = record.id + " " + std::to_string(record.version) + "." + std::to_string(record.revision) + " [";
    for (const auto key : record.keys) text.append(key).append(record.lost_keys.contains(key) ? "- " : " ");
    text += "] " + record.payload.str();
    if (record.expires_at) text += " until " + std::to_string(record.expires_at->time_since_epoch().count());
    return text;
  }

  std::map<std::string, std::string> expected_;
};

constexpr std::size_t kPage = 1024;

// One page of the file, spoiled in one of the ways that disks and file systems have.
std::string spoil(const std::string& file, std::size_t page, int way, SeededRandom& random) {
  auto bytes = file;
  const auto start = page * kPage;
  if (way == 0) {  // never written
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(start), kPage, '\0');
  } else if (way == 1) {  // the write of another page went here
    const auto other = random.next() % (file.size() / kPage) * kPage;
    bytes.replace(start, kPage, file, other, kPage);
  } else if (way == 2) {  // a stretch of anything
    const auto length = 1 + random.next() % 64;
    const auto at = start + random.next() % (kPage - length);
    for (std::uint64_t k = 0; k < length; ++k) bytes[at + k] = static_cast<char>(random.next());
  } else {  // one bit
    bytes[start + random.next() % kPage] ^= static_cast<char>(1 << random.next() % 8);
  }
  return bytes;
}

TEST(DamagedPage, hides_no_record_from_readers_and_doctor_alike) {
  const TemporaryFolder folder;
  const auto options_of = [](const std::string& path, bool durable = false) {
    sqlite::Options options;
    options.path = path;
    options.durable = durable;  // nothing here is about losing power, but a pipeline asks for it
    options.page_size = kPage;
    options.busy_timeout = Milliseconds(500);
    return options;
  };
  const auto original = folder.path("original.db");
  {
    auto database = sqlite::open(options_of(original, true)).value();
    Content::fill(database);
    ASSERT_TRUE(database.checkpoint().value());
  }
  ASSERT_LE(std::filesystem::exists(original + "-wal") ? std::filesystem::file_size(original + "-wal") : 0, 0u);
  const auto file = read_all(original);
  const auto content = Content::of(options_of(original));

  constexpr int kWays = 16;  // the first three once, then one bit each
  std::size_t refused = 0;
  std::size_t hidden = 0;
  const auto path = folder.path("damaged.db");
  for (std::size_t page = 0; page < file.size() / kPage; ++page) {
    for (int way = 0; way < kWays; ++way) {
      SeededRandom random(page * kWays + static_cast<std::size_t>(way));
      for (const auto* suffix : {"", "-wal", "-shm", "-lock"}) std::filesystem::remove(path + suffix);
      write_all(path, spoil(file, page, way, random));
      auto database = sqlite::open(options_of(path));
      if (!database) {
        ++refused;
        continue;
      }
      const auto missing = content.missing(*database);
      if (missing.empty()) continue;
      ++hidden;
      const auto findings = database->doctor();
      if (!findings) continue;
      const bool told = std::any_of(findings->begin(), findings->end(), [](const sqlite::Finding& finding) {
        return finding.level == sqlite::Finding::Level::kError && !finding.what.starts_with("disk");
      });
      EXPECT_TRUE(told) << "page " << page + 1 << " way " << way << ": " << missing.size() << " missing, first " << missing.front();
    }
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(hidden, 0u) << "no damage hid anything, so nothing is shown";
}

}  // namespace
