// The driver's way to a server with a deadline for each call: libmongoc 1.23 knows limits for a connection only. It opens the socket
// itself, and caps every read and write by what is left of the call's time. Thread rule: as the client that it belongs to.
#pragma once

#include "mongo/mongoc.hpp"

#include <string>

#include <setget/clock.hpp>

namespace setget::inline v0::mongo {

// Of one client: until when the call that uses it now may wait, and for how long a connection may take to come about.
struct Line {
  Deadline deadline = Deadline::in(Milliseconds(0));
  Milliseconds connect_timeout{2000};
  std::string trouble{};  // why the last connection did not come about; empty once one did
};

// All connections of `client` end their waits by line->deadline from now on; `line` must outlive the client.
void keep_deadlines(mongoc_client_t* client, Line* line);

}  // namespace setget::inline v0::mongo
