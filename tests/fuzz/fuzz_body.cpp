// Compressed bodies and dictionaries as a damaged or hostile server may give them. Held: an error or bytes, never a crash; never more than
// the largest body, nor more than the frame can hold (the run also limits single allocations); what was made smaller comes back as it was,
// and with damaged bytes not as something else.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "redis/store_entry.hpp"
#include "redis/zstd_door.hpp"

namespace {

using namespace setget;
using namespace setget::redis;

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(reinterpret_cast<const char*>(data), size) {}
  std::size_t number() {
    const auto some = take(2);
    return some.size() < 2 ? 0 : static_cast<std::uint8_t>(some[0]) + (std::size_t{static_cast<std::uint8_t>(some[1])} << 8);
  }
  std::string_view take(std::size_t size) {
    const auto some = bytes_.substr(0, size);
    bytes_.remove_prefix(some.size());
    return some;
  }
  std::string_view rest() { return take(bytes_.size()); }

 private:
  std::string_view bytes_;
};

Result<Payload> read(std::string_view frame, const ZstdDictionary* dictionary) {
  auto body = expand(frame, dictionary);
  if (body) {
    require(body->size() <= kMostBodyBytes, "no body is larger than the largest");
    require(body->size() <= (frame.size() / 4 + 1) * (128U << 10), "a body is no larger than its frame can hold");
  } else {
    require(body.error().code() == ErrorCode::kCorrupted, "damaged is what it says");
  }
  return body;
}

void round_trip(std::string_view bytes, const ZstdDictionary* dictionary, Input& damage) {
  const auto frame = shrink(bytes, dictionary, 3, bytes.size() * 2 + 64);
  if (!frame) return;
  const auto back = read(*frame, dictionary);
  require(back && back->view() == bytes, "what was made smaller comes back as it was");
  auto broken = *frame;
  const auto at = damage.number() % broken.size();
  const auto by = static_cast<char>(damage.number());
  broken[at] = static_cast<char>(broken[at] ^ by);
  if (damage.number() % 4 == 0) broken.resize(damage.number() % (broken.size() + 1));
  const auto other = read(broken, dictionary);
  require(!other || other->view() == bytes, "damaged bytes are not taken for others");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  Input input(data, size);
  const auto kind = input.number() % 5;
  if (kind == 0) {
    static_cast<void>(read(input.rest(), nullptr));
    return 0;
  }
  if (kind == 1) {
    const auto bytes = Payload(std::string(input.rest()));
    const auto entry = decode_entry(bytes, "name");
    if (entry && entry->identity && entry->identity->codec == BodyCodec::kZstd)
      static_cast<void>(read(entry->identity->body.view(), nullptr));
    return 0;
  }
  const ZstdDictionary dictionary(std::string(input.take(input.number())), 3);
  if (kind == 2) {
    static_cast<void>(read(input.rest(), &dictionary));
    return 0;
  }
  Input damage(data, std::min<std::size_t>(size, 10));
  round_trip(input.rest(), kind == 3 ? &dictionary : nullptr, damage);
  return 0;
}
