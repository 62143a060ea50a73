// A server that has no memory for a connection serves the next one.
#include "http/connection.hpp"
#include "http/server_fixture.hpp"
#include "support/allocations.hpp"

namespace {

using setget_test::HttpTest;
using setget_test::RawClient;

class HttpNoMemory : public HttpTest {};

TEST_F(HttpNoMemory, a_connection_that_cannot_be_served_is_closed_and_the_next_is_accepted) {
  if (!allocations()) GTEST_SKIP() << "a sanitizer has its own operator new";
  open();
  // A connection stands in one piece with what counts its owners; then it is registered.
  constexpr std::size_t kSize = sizeof(setget::detail::HttpConnection);
  for (const std::size_t after : {0u, 1u}) {
    const FailingAllocation none(kSize, kSize + 64, after);
    RawClient unlucky(port());
    ASSERT_TRUE(unlucky.connected());
    EXPECT_TRUE(unlucky.closed()) << after;
    ASSERT_TRUE(none.has_failed()) << after;
    RawClient next(port());
    const auto answer = next.request("GET", "/healthz");
    ASSERT_TRUE(answer) << "nobody accepts it: " << after;
    EXPECT_EQ(answer->status, 200);
  }
  EXPECT_TRUE(server_->stop(setget::Deadline::in(setget::Milliseconds(20'000))));
}

}  // namespace
