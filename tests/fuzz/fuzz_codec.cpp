// Damaged and foreign bytes through the codecs. Held: no crash; what decodes, encodes to the same bytes again (the form is deterministic);
// keys that come out of packed bytes are inside them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <setget/gateway.hpp>
#include <setget/key_store.hpp>
#include <setget/record.hpp>
#include <setget/ttl.hpp>
#include <setget/validator.hpp>
#include <string_view>

namespace {

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto bytes = setget::Payload::copy(input);
  if (auto command = setget::decode_command(bytes)) {
    const auto again = setget::encode_command(*command);
    auto twice = setget::decode_command(again);
    require(twice.has_value(), "encoded commands decode");
    require(setget::encode_command(*twice) == again, "encoding is deterministic");
    std::size_t keys = 0;
    for (const auto key : command->keys) {
      require(key.data() >= bytes.data() && key.data() + key.size() <= bytes.data() + bytes.size(), "keys are parts of the message");
      ++keys;
    }
    require(keys == command->keys.size(), "as many keys as said");
    static_cast<void>(setget::envelope_validator()->validate(*command));
  }
  if (auto record = setget::make_record(bytes, {})) static_cast<void>(setget::write_envelope(*record));
  if (auto ttl = setget::parse_ttl(input)) {
    auto again = setget::parse_ttl(setget::to_string(*ttl));
    require(again && *again == *ttl, "a ttl's text reads back");
  }
  static_cast<void>(setget::parse_envelope(bytes, {}));
  static_cast<void>(setget::check_json(input, {}));
  return 0;
}
