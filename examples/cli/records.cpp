// set, get, delete, message: one record at a time.
#include <cstdio>
#include <fstream>
#include <vector>

#include <setget/gateway.hpp>

#include "arguments.hpp"
#include "cli.hpp"
#include "files.hpp"
#include "output.hpp"

namespace cli {

namespace {

using setget::Deadline;
using setget::Error;
using setget::ErrorCode;
using setget::Result;

struct Waiting {
  bool no_wait = false;
  std::string wait = "30s";
};

void add_waiting(CLI::App& command, Waiting& waiting) {
  command.add_flag("--no-wait", waiting.no_wait, "return when the queue has it on disk; a server or `setget queue drain` applies it");
  command.add_option("--wait", waiting.wait, "how long to work and wait until it is applied")
      ->capture_default_str()
      ->check(length_of_time());
}

struct SetFlags {
  std::vector<std::string> keys;
  std::string id, account, flow, owner, ttl, payload, payload_file;
  std::string content_type = "application/json";
  std::vector<std::string> attributes;
  std::optional<std::uint64_t> version, expected_version;
  std::string dedup_id;
  Waiting waiting;
};

Result<setget::SetRequest> make_request(const SetFlags& flags, const setget::Config& config, bool payload_given) {
  setget::SetRequest request;
  request.ns = config.ns;
  request.id = flags.id;
  request.keys = setget::KeyList(std::span<const std::string>(flags.keys));
  request.account = flags.account;
  request.flow = flags.flow;
  request.owner = flags.owner;
  request.content_type = flags.content_type;
  request.version = flags.version;
  request.expected_version = flags.expected_version;
  request.dedup_id = flags.dedup_id;
  if (payload_given) {
    request.payload = flags.payload;
  } else {
    auto bytes = read_whole(flags.payload_file, config.limits.max_payload);
    if (!bytes) return Error(bytes.error().code(), flags.payload_file + ": " + bytes.error().message()).at_field("--payload-file");
    request.payload = setget::Payload::adopt(std::move(*bytes));
  }
  if (!flags.ttl.empty()) {
    auto ttl = setget::parse_ttl(flags.ttl);
    if (!ttl) return std::move(ttl).error();
    request.ttl = *ttl;
  }
  for (const std::string& attribute : flags.attributes) {
    const auto equals = attribute.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(ErrorCode::kInvalidArgument, "\"" + attribute + "\" is not NAME=VALUE").at_field("--attribute");
    }
    request.attributes[attribute.substr(0, equals)] = attribute.substr(equals + 1);
  }
  return request;
}

// Prints how an accepted message ended; waits for it first unless told otherwise.
int report(const Common& common, Session& session, const setget::Receipt& receipt, const Waiting& waiting) {
  setget::MessageStatus status;
  status.message_id = receipt.message_id;
  if (!waiting.no_wait) {
    const auto wait = parse_wait(waiting.wait);
    if (!wait) return failed(common, wait.error());
    auto finished = session.finish(receipt.message_id, Deadline::in(*wait));
    if (!finished) return failed(common, finished.error());
    status = std::move(*finished);
  }
  // Stale: what is there has a higher version, and so was not replaced or erased.
  const bool bad = status.outcome == setget::Outcome::kDeadLettered || status.outcome == setget::Outcome::kStale ||
                   (!waiting.no_wait && status.outcome == setget::Outcome::kPending);
  if (common.json) {
    Json body = Json::object();
    put_bytes(body, "id", receipt.id);
    body["version"] = receipt.version;
    body["message_id"] = receipt.message_id;
    body["deduplicated"] = receipt.deduplicated;
    body["outcome"] = std::string(to_string(status.outcome));
    body["reasons"] = reasons_json(status.reasons);
    print(body);
  } else {
    std::printf("%s", std::string(to_string(status.outcome)).c_str());
    if (!receipt.id.empty())
      std::printf("  id %s  version %llu", shown(receipt.id).c_str(), static_cast<unsigned long long>(receipt.version));
    std::printf("  message %s\n", receipt.message_id.c_str());
    for (const auto& reason : status.reasons) std::printf("  %s: %s\n", reason.code.c_str(), shown(reason.message).c_str());
  }
  return bad ? kNo : kOk;
}

void add_set(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("set", "store a record under one or more keys");
  auto flags = std::make_shared<SetFlags>();
  command->add_option("-k,--key", flags->keys, "webhook key; repeat for several")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--account", flags->account)->required();
  command->add_option("--flow", flags->flow)->required();
  auto* payload = command->add_option("-p,--payload", flags->payload, "the payload itself");
  auto* file = command->add_option("-f,--payload-file", flags->payload_file, "file with the payload, byte for byte; - for stdin");
  payload->excludes(file);
  command->add_option("--id", flags->id, "identity (default: a fresh ULID)");
  command->add_option("--owner", flags->owner);
  command->add_option("--ttl", flags->ttl, "90, 90s, 15m, 7d or never (default: by flow and account)")->check(length_of_time(true));
  command->add_option("--version", flags->version, "caller's version (default: assigned)")->transform(whole_number(1, setget::kMaxVersion));
  command->add_option("--expected-version", flags->expected_version, "only if the current version is this; 0: only if there is none")
      ->transform(whole_number(0, setget::kMaxVersion));
  command->add_option("--content-type", flags->content_type)->capture_default_str();
  command->add_option("--attribute", flags->attributes, "NAME=VALUE; repeat for several")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--dedup-id", flags->dedup_id, "the same id within the queue's window is accepted once");
  add_waiting(*command, flags->waiting);
  command->callback([&context, flags, payload, file] {
    if (payload->count() + file->count() == 0) throw CLI::RequiredError("--payload or --payload-file");
    context.chosen = [&context, flags, given = payload->count() > 0] {
      auto session = Session::open(context.common, Missing::kMake, ArchiveUse::kUnused, QueueUse::kWorks);
      if (!session) return failed(context.common, session.error());
      auto request = make_request(*flags, session->config(), given);
      if (!request) return failed(context.common, request.error());
      const auto receipt = session->pipeline().set(std::move(*request));
      if (!receipt) return failed(context.common, receipt.error());
      return report(context.common, *session, *receipt, flags->waiting);
    };
  });
}

struct GetFlags {
  std::string key, id, account, output, at;
};

int write_payload(const Common& common, const setget::Record& record, const std::string& output) {
  const auto bytes = record.payload.view();
  if (output.empty()) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return kOk;
    return failed(common, Error(ErrorCode::kOutOfSpace, "cannot write the payload to stdout"));
  }
  std::ofstream file(output, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) return failed(common, Error(ErrorCode::kOutOfSpace, "cannot write " + output).at_field("--output"));
  return kOk;
}

setget::Result<setget::Found> find(Session& session, const GetFlags& flags, const std::string& ns) {
  if (flags.at.empty()) {
    const auto& reader = session.pipeline().reader();
    return flags.id.empty() ? reader.find(flags.key, ns) : reader.find_by_id(flags.id, ns);
  }
  const auto at = setget::parse_moment(flags.at);
  if (!at) return setget::Error(at.error()).at_field("--at");
  auto* archiver = session.pipeline().archiver();
  if (archiver == nullptr) return Error(ErrorCode::kFailedPrecondition, "there is no archive, and so no history").at_field("--at");
  auto record = archiver->get_at({.ns = ns, .key = flags.key, .id = flags.id, .at = *at});
  if (!record) return std::move(record).error();
  return setget::Found{.record = *std::move(record), .tier = setget::Tier::kArchive};
}

int get(Context& context, const GetFlags& flags) {
  if (context.common.read_through) {
    if (auto there = archive_is_there(context.common); !there) return failed(context.common, there.error());
  }
  auto session = Session::open(context.common, Missing::kRefuse, flags.at.empty() ? ArchiveUse::kUnused : ArchiveUse::kUsed);
  if (!session) return failed(context.common, session.error());
  const auto ns = session->ns_of(flags.account);
  if (!ns) return failed(context.common, ns.error());
  const auto found = find(*session, flags, *ns);
  if (!found) return failed(context.common, found.error());
  if (!found->record) {
    if (context.common.json) print(nullptr);
    if (!context.common.json) std::fprintf(stderr, "setget: no record under %s\n", shown(flags.id.empty() ? flags.key : flags.id).c_str());
    return kNo;
  }
  if (!context.common.json) return write_payload(context.common, *found->record, flags.output);
  std::printf("%s\n", setget::write_envelope(*found->record, found->tier).c_str());
  return kOk;
}

void add_get(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("get", "print a record's payload, byte for byte (--json: the whole record)");
  auto flags = std::make_shared<GetFlags>();
  auto* key = command->add_option("key", flags->key, "webhook key");
  auto* id = command->add_option("--id", flags->id, "identity instead of a key");
  key->excludes(id);
  command->add_option("--account", flags->account, "needed where isolation = \"account\"");
  command->add_option("-o,--output", flags->output, "file instead of stdout");
  command->add_flag("--read-through", context.common.read_through, "ask the archive where the store knows nothing of it");
  command->add_option("--at", flags->at, "as it was at this moment (RFC 3339), from a flow that keeps history");
  command->callback([&context, flags, key, id] {
    if (key->count() + id->count() == 0) throw CLI::RequiredError("key or --id");
    context.chosen = [&context, flags] { return get(context, *flags); };
  });
}

void add_delete(CLI::App& app, Context& context) {
  struct Flags {
    std::string key, id, account;
    std::optional<std::uint64_t> version;
    Waiting waiting;
  };
  auto* command = app.add_subcommand("delete", "erase what a key leads to, or an identity; durable like a set");
  auto flags = std::make_shared<Flags>();
  auto* key = command->add_option("key", flags->key, "webhook key");
  auto* id = command->add_option("--id", flags->id, "identity instead of a key");
  key->excludes(id);
  command->add_option("--version", flags->version, "caller's version, with --id")
      ->transform(whole_number(1, setget::kMaxVersion))
      ->needs(id);
  command->add_option("--account", flags->account, "needed where isolation = \"account\"");
  add_waiting(*command, flags->waiting);
  command->callback([&context, flags, key, id] {
    if (key->count() + id->count() == 0) throw CLI::RequiredError("key or --id");
    context.chosen = [&context, flags] {
      auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused, QueueUse::kWorks);
      if (!session) return failed(context.common, session.error());
      auto ns = session->ns_of(flags->account);
      if (!ns) return failed(context.common, ns.error());
      setget::EraseRequest request;
      request.ns = *std::move(ns);
      request.key = flags->key;
      request.id = flags->id;
      request.version = flags->version;
      const auto receipt = session->pipeline().erase(std::move(request));
      if (!receipt) return failed(context.common, receipt.error());
      return report(context.common, *session, *receipt, flags->waiting);
    };
  });
}

int show_message(Context& context, const std::string& id, const std::string& wait_text) {
  const auto wait = parse_wait(wait_text);
  if (!wait) return failed(context.common, wait.error());
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused);
  if (!session) return failed(context.common, session.error());
  const auto status = session->pipeline().message(id, Deadline::in(*wait));
  if (!status && status.error().code() == ErrorCode::kNotFound) {
    failed(context.common, status.error());
    return kNo;
  }
  if (!status) return failed(context.common, status.error());
  if (context.common.json) {
    print({{"message_id", status->message_id},
           {"outcome", std::string(to_string(status->outcome))},
           {"stamp", status->stamp},
           {"receive_count", status->receive_count},
           {"reasons", reasons_json(status->reasons)}});
  } else {
    std::printf("%s  received %u times  accepted %s\n", std::string(to_string(status->outcome)).c_str(), status->receive_count,
                iso(setget::time_of(status->stamp)).c_str());
    for (const auto& reason : status->reasons) std::printf("  %s: %s\n", reason.code.c_str(), shown(reason.message).c_str());
  }
  const bool good = status->outcome != setget::Outcome::kPending && status->outcome != setget::Outcome::kDeadLettered;
  return good ? kOk : kNo;
}

void add_message(CLI::App& app, Context& context) {
  struct Flags {
    std::string id;
    std::string wait = "0s";
  };
  auto* command = app.add_subcommand("message", "how an accepted message ended");
  auto flags = std::make_shared<Flags>();
  command->add_option("id", flags->id, "message_id as `set` printed it")->required();
  command->add_option("--wait", flags->wait, "how long to wait for the end")->capture_default_str()->check(length_of_time());
  command->callback([&context, flags] { context.chosen = [&context, flags] { return show_message(context, flags->id, flags->wait); }; });
}

}  // namespace

void add_records(CLI::App& app, Context& context) {
  add_set(app, context);
  add_get(app, context);
  add_delete(app, context);
  add_message(app, context);
}

}  // namespace cli
