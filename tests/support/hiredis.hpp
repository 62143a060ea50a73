// The one door to hiredis. setget does not link it (see src/redis/reply_parser.hpp); tests hold our parser to its reader, and benches
// compare with it.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>

namespace redis_test {

struct FreeReply {
  void operator()(void* reply) const noexcept { freeReplyObject(reply); }
};
struct FreeReader {
  void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
};
struct FreeContext {
  void operator()(redisContext* context) const noexcept { redisFree(context); }
};
using HiredisReply = std::unique_ptr<redisReply, FreeReply>;
using HiredisReader = std::unique_ptr<redisReader, FreeReader>;
using HiredisContext = std::unique_ptr<redisContext, FreeContext>;

}  // namespace redis_test
