#include "redis/zstd_door.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>
#include <vector>

#ifdef SETGET_WITH_ZSTD
#include <zdict.h>
#include <zstd.h>
#endif

namespace setget::inline v0::redis {

#ifdef SETGET_WITH_ZSTD

namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CDict* dictionary) const noexcept { ZSTD_freeCDict(dictionary); }
  void operator()(ZSTD_DDict* dictionary) const noexcept { ZSTD_freeDDict(dictionary); }
};

constexpr std::string_view kMagic("\x28\xb5\x2f\xfd", 4);
constexpr std::size_t kFewestSamples = 8;
constexpr std::size_t kMostScratch = 1u << 20;  // kept between calls
// Of a zstd frame: a block has at least 4 bytes and comes to at most 128 KiB (RFC 8878, 3.1.1.2).
constexpr std::size_t kLeastBlock = 4;
constexpr std::size_t kMostOfBlock = 128u << 10;

// Of the thread; nullptr where there is no memory for it.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  return context.get();
}

std::string& scratch() {
  thread_local std::string bytes;
  if (bytes.size() > kMostScratch) std::string().swap(bytes);
  return bytes;
}

Error damaged(std::string message) { return Error(ErrorCode::kCorrupted, "a damaged body: " + std::move(message)); }

}  // namespace

// Made when they are first needed: whoever only reads needs no tables to write.
struct ZstdDictionary::Tables {
  std::string bytes;
  int level = 0;
  mutable std::once_flag to_shrink{};
  mutable std::unique_ptr<ZSTD_CDict, FreeContext> shrinking{};
  mutable std::once_flag to_expand{};
  mutable std::unique_ptr<ZSTD_DDict, FreeContext> expanding{};

  const ZSTD_CDict* for_shrinking() const {
    std::call_once(to_shrink, [this] {
      if (bytes.size() <= kMostDictionaryBytes) shrinking.reset(ZSTD_createCDict(bytes.data(), bytes.size(), level));
    });
    return shrinking.get();
  }
  const ZSTD_DDict* for_expanding() const {
    std::call_once(to_expand, [this] {
      if (bytes.size() <= kMostDictionaryBytes) expanding.reset(ZSTD_createDDict(bytes.data(), bytes.size()));
    });
    return expanding.get();
  }
};

bool zstd_available() noexcept { return true; }

ZstdDictionary::ZstdDictionary(std::string bytes, int level) : tables_(std::make_unique<Tables>()) {
  tables_->bytes = std::move(bytes);
  tables_->level = level;
}
ZstdDictionary::~ZstdDictionary() = default;

std::optional<std::string> shrink(std::string_view bytes, const ZstdDictionary* dictionary, int level, std::size_t most) {
  auto* context = compressor();
  if (context == nullptr || bytes.empty() || bytes.size() > kMostBodyBytes) return std::nullopt;
  const ZSTD_CDict* tables = nullptr;
  if (dictionary != nullptr) {
    tables = dictionary->tables().for_shrinking();
    if (tables == nullptr) return std::nullopt;
  }
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_dictIDFlag, 0);
  if (tables != nullptr) {
    ZSTD_CCtx_refCDict(context, tables);
  } else {
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  }
  auto& out = scratch();
  const auto bound = ZSTD_compressBound(bytes.size());
  if (out.size() < bound) out.resize(bound);
  const auto size = ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0 || size <= kMagic.size() || size - kMagic.size() > most) return std::nullopt;
  return out.substr(kMagic.size(), size - kMagic.size());
}

Result<Payload> expand(std::string_view frame, const ZstdDictionary* dictionary) {
  auto* context = decompressor();
  if (context == nullptr) return Error(ErrorCode::kInternal, "no memory for a zstd context");
  if (frame.size() > kMostBodyBytes + (1u << 20)) return damaged("too large");
  auto& in = scratch();
  in.assign(kMagic);
  in.append(frame);
  const auto size = ZSTD_getFrameContentSize(in.data(), in.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) return damaged("no zstd frame");
  if (size > kMostBodyBytes) return damaged("a frame that claims to be larger than any body");
  if (size > (frame.size() / kLeastBlock + 1) * kMostOfBlock) return damaged("a frame that claims more than it can hold");
  const ZSTD_DDict* tables = nullptr;
  if (dictionary != nullptr) {
    tables = dictionary->tables().for_expanding();
    if (tables == nullptr) return damaged("its dictionary cannot be read");
  }
  std::string out(static_cast<std::size_t>(size), '\0');
  const auto got = ZSTD_decompress_usingDDict(context, out.data(), out.size(), in.data(), in.size(), tables);
  if (ZSTD_isError(got) != 0) return damaged(ZSTD_getErrorName(got));
  if (got != size) return damaged("shorter than it says");
  return Payload::adopt(std::move(out));
}

std::optional<std::string> train_dictionary(std::span<const Payload> samples, std::size_t most, int level) {
  if (samples.size() < kFewestSamples || most == 0) return std::nullopt;
  // Every fifth stays out and judges what the others come to. Larger is not always better: the trainer may find less to put into it.
  std::string bytes;
  std::vector<std::size_t> sizes;
  std::vector<std::string_view> judges;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto sample = samples[i].view();
    if (i % 5 == 4) {
      judges.push_back(sample);
    } else {
      bytes.append(sample);
      sizes.push_back(sample.size());
    }
  }
  const auto cost = [&](const ZstdDictionary* dictionary) {
    std::size_t sum = 0;
    for (const auto judge : judges) {
      const auto shrunk = shrink(judge, dictionary, level, judge.size());
      sum += shrunk ? shrunk->size() : judge.size();
    }
    return sum;
  };
  std::optional<std::string> best;
  auto best_cost = cost(nullptr) / 10 * 9;
  for (const auto capacity : {most, most / 2}) {
    std::string dictionary(std::max<std::size_t>(capacity, 1024), '\0');
    const auto size =
        ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), bytes.data(), sizes.data(), static_cast<unsigned>(sizes.size()));
    if (ZDICT_isError(size) != 0) continue;
    dictionary.resize(size);
    const ZstdDictionary candidate(dictionary, level);
    const auto candidate_cost = cost(&candidate);
    if (candidate_cost >= best_cost) continue;
    best_cost = candidate_cost;
    best = std::move(dictionary);
  }
  return best;
}

#else

struct ZstdDictionary::Tables {};

bool zstd_available() noexcept { return false; }
// NOLINTNEXTLINE(performance-unnecessary-value-param): as with zstd
ZstdDictionary::ZstdDictionary(std::string, int) : tables_(std::make_unique<Tables>()) {}
ZstdDictionary::~ZstdDictionary() = default;
std::optional<std::string> shrink(std::string_view, const ZstdDictionary*, int, std::size_t) { return std::nullopt; }
Result<Payload> expand(std::string_view, const ZstdDictionary*) {
  return Error(ErrorCode::kUnsupported, "a body that is compressed with zstd, which this build has not");
}
std::optional<std::string> train_dictionary(std::span<const Payload>, std::size_t, int) { return std::nullopt; }

#endif

}  // namespace setget::inline v0::redis
