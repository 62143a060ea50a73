// load: envelopes from files into the queue, and their outcomes back.
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <vector>

#include <setget/gateway.hpp>

#include "arguments.hpp"
#include "cli.hpp"
#include "output.hpp"
#include "splitter.hpp"

namespace cli {

namespace {

using setget::Deadline;
using setget::Outcome;
using setget::Result;

constexpr std::size_t kBatchMessages = 500;
constexpr std::size_t kBatchBytes = 8u << 20;
constexpr std::size_t kFollowed = 100'000;  // message ids in memory; older ones are waited for first
constexpr std::size_t kListedErrors = 100;

struct Place {
  std::string file;
  std::uint64_t line = 0;
};

// A bar on stderr, where that is a terminal.
class Progress {
 public:
  explicit Progress(const std::vector<std::string>& files) : on_(isatty(STDERR_FILENO) == 1) {
    for (const std::string& file : files) {
      struct stat info {};
      if (stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode)) total_ += static_cast<std::uint64_t>(info.st_size);
    }
  }
  ~Progress() {
    if (on_) std::fprintf(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::uint64_t bytes, std::uint64_t accepted) {
    if (!on_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    const double took = std::max(1e-3, std::chrono::duration<double>(now - start_).count());
    const double share = total_ == 0 ? 0 : std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total_));
    constexpr int kWidth = 30;
    const int full = static_cast<int>(share * kWidth);
    std::fprintf(stderr, "\r[%.*s%*s] %3.0f %%  %llu accepted  %.0f/s\033[K", full, "##############################", kWidth - full, "",
                 share * 100, static_cast<unsigned long long>(accepted), static_cast<double>(accepted) / took);
    std::fflush(stderr);
  }

 private:
  bool on_;
  std::uint64_t total_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_{};
};

class Loader {
 public:
  Loader(Session& session, bool follow, Deadline deadline) : session_(session), follow_(follow), deadline_(deadline) {}

  Result<void> take(std::string&& envelope, Place place) {
    bytes_ += envelope.size();
    auto request = setget::parse_envelope(setget::Payload::adopt(std::move(envelope)), session_.config().limits);
    if (!request) {
      refuse(place, request.error());
      return {};
    }
    request->ns = session_.config().ns;
    batch_bytes_ += request->payload.size();
    batch_.push_back(std::move(*request));
    places_.push_back(std::move(place));
    return batch_.size() >= kBatchMessages || batch_bytes_ >= kBatchBytes ? send() : Result<void>();
  }

  Result<void> send() {
    if (batch_.empty()) return {};
    auto results = session_.pipeline().set(std::move(batch_));
    batch_ = {};
    batch_bytes_ = 0;
    if (!results) return std::move(results).error();
    for (std::size_t i = 0; i < results->size(); ++i) {
      auto& result = (*results)[i];
      if (!result) {
        refuse(places_[i], result.error());
        continue;
      }
      ++accepted_;
      if (follow_) followed_.push_back({result->message_id, places_[i]});
    }
    places_.clear();
    return resolve(kFollowed);
  }

  // Waits for the oldest messages until at most `keep` are left.
  Result<void> resolve(std::size_t keep) {
    while (followed_.size() > keep) {
      const auto status = session_.pipeline().message(followed_.front().first, deadline_);
      if (!status) return status.error();
      ++outcomes_[static_cast<std::size_t>(status->outcome)];
      if (status->outcome == Outcome::kDeadLettered) complain(followed_.front().second, "dead-lettered", status->reasons);
      followed_.pop_front();
    }
    return {};
  }

  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t outcome(Outcome which) const { return outcomes_[static_cast<std::size_t>(which)]; }
  std::uint64_t refused() const { return refused_; }
  const Json& errors() const { return errors_; }
  bool all_well() const { return refused_ == 0 && outcome(Outcome::kDeadLettered) == 0 && outcome(Outcome::kPending) == 0; }

 private:
  void refuse(const Place& place, const setget::Error& error) {
    ++refused_;
    auto reasons = error.reasons();
    if (reasons.empty()) reasons.push_back({std::string(to_string(error.code())), error.message(), error.field()});
    complain(place, "refused", reasons);
  }
  void complain(const Place& place, const char* what, const std::vector<setget::Reason>& reasons) {
    if (errors_.size() >= kListedErrors) return;
    errors_.push_back({{"file", place.file}, {"line", place.line}, {"what", what}, {"reasons", reasons_json(reasons)}});
  }

  Session& session_;
  bool follow_;
  Deadline deadline_;
  std::vector<setget::SetRequest> batch_;
  std::vector<Place> places_;
  std::size_t batch_bytes_ = 0;
  std::deque<std::pair<std::string, Place>> followed_;
  std::uint64_t bytes_ = 0, accepted_ = 0, refused_ = 0;
  std::uint64_t outcomes_[setget::kOutcomeCount] = {};
  Json errors_ = Json::array();
};

Result<void> read_stream(std::istream& in, const std::string& name, Loader& loader, Progress& progress, std::size_t max_envelope) {
  EnvelopeSplitter splitter(max_envelope, [&](std::string&& envelope, std::uint64_t line) {
    return loader.take(std::move(envelope), {name, line});
  });
  std::vector<char> buffer(1u << 18);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    auto fed = splitter.feed({buffer.data(), static_cast<std::size_t>(in.gcount())});
    if (!fed) return setget::Error(fed.error().code(), name + ": " + fed.error().message());
    progress.show(loader.bytes(), loader.accepted());
  }
  if (in.bad()) return setget::Error(setget::ErrorCode::kUnavailable, "cannot read " + name);
  auto finished = splitter.finish();
  if (!finished) return setget::Error(finished.error().code(), name + ": " + finished.error().message());
  return {};
}

Result<void> read_files(const std::vector<std::string>& files, Loader& loader, std::size_t max_envelope) {
  Progress progress(files);
  for (const std::string& file : files) {
    Result<void> done;
    if (file == "-") {
      done = read_stream(std::cin, "stdin", loader, progress, max_envelope);
    } else if (std::ifstream in(file, std::ios::binary); in) {
      done = read_stream(in, file, loader, progress, max_envelope);
    } else {
      done = setget::Error(setget::ErrorCode::kNotFound, "cannot read " + file);
    }
    // What was read before the damage is sent all the same: the summary says how far it came.
    auto sent = loader.send();
    if (!sent) return sent;
    if (!done) return done;
  }
  return {};
}

void print_summary(const Context& context, const Loader& loader, bool followed) {
  Json body = {{"accepted", loader.accepted()}, {"refused", loader.refused()}};
  if (followed) {
    for (const auto which :
         {Outcome::kApplied, Outcome::kDuplicate, Outcome::kStale, Outcome::kExpired, Outcome::kDeadLettered, Outcome::kPending}) {
      body[std::string(to_string(which))] = loader.outcome(which);
    }
  }
  if (context.common.json) {
    body["errors"] = loader.errors();
    print(body);
    return;
  }
  for (const auto& error : loader.errors()) {
    std::fprintf(stderr, "%s:%llu: %s\n", error["file"].get<std::string>().c_str(),
                 static_cast<unsigned long long>(error["line"].get<std::uint64_t>()), error["what"].get<std::string>().c_str());
    for (const auto& reason : error["reasons"]) {
      std::fprintf(stderr, "  %s: %s (%s)\n", shown(reason["pointer"].get<std::string>()).c_str(),
                   shown(reason["message"].get<std::string>()).c_str(), reason["code"].get<std::string>().c_str());
    }
  }
  std::string line;
  for (const auto& [name, count] : body.items()) line += (line.empty() ? "" : "  ") + name + " " + count.dump();
  std::printf("%s\n", line.c_str());
}

int load(Context& context, const std::vector<std::string>& files, bool no_wait, const std::string& wait_text) {
  const auto wait = parse_wait(wait_text);
  if (!wait) return failed(context.common, wait.error());
  auto session = Session::open(context.common, Missing::kMake, ArchiveUse::kUnused, QueueUse::kWorks);
  if (!session) return failed(context.common, session.error());
  const auto deadline = Deadline::in(*wait);
  std::jthread mover;
  if (!no_wait) {
    mover = session->history_mover();
    const auto started = session->pipeline().worker().start();
    if (!started) return failed(context.common, started.error());
  }
  Loader loader(*session, !no_wait, deadline);
  // An envelope is larger than its payload: base64 and keys.
  const std::size_t max_envelope = session->config().limits.max_payload / 3 * 4 + (1u << 20);
  const auto read = read_files(files, loader, max_envelope);
  const auto resolved = loader.resolve(0);
  if (!no_wait) {
    const auto stopped = session->pipeline().worker().stop(Deadline::in(std::chrono::seconds(30)));
    if (!stopped) return failed(context.common, stopped.error());
  }
  print_summary(context, loader, !no_wait);
  if (!read) return failed(context.common, read.error());
  if (!resolved) return failed(context.common, resolved.error());
  return loader.all_well() ? kOk : kNo;
}

}  // namespace

void add_load(CLI::App& app, Context& context) {
  struct Flags {
    std::vector<std::string> files;
    bool no_wait = false;
    std::string wait = "10m";
  };
  auto* command = app.add_subcommand("load", "set every envelope of NDJSON files or JSON arrays");
  auto flags = std::make_shared<Flags>();
  command->add_option("file", flags->files, "files; - for stdin")->required();
  command->add_flag("--no-wait", flags->no_wait, "return when the queue has them on disk");
  command->add_option("--wait", flags->wait, "how long to work and wait until they are applied")
      ->capture_default_str()
      ->check(length_of_time());
  command->callback(
      [&context, flags] { context.chosen = [&context, flags] { return load(context, flags->files, flags->no_wait, flags->wait); }; });
}

}  // namespace cli
