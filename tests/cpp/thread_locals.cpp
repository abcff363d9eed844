// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// A program with more thread-local variables than a stack has room for.

#include "support/check.hpp"
#include "support/client.hpp"

thread_local char large[3 << 19];

TEST(threads_start_in_a_program_with_large_thread_local_variables) {
  large[sizeof large - 1] = 1;
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  Mailbox mailbox;
  Execution execution;
  execution.bind(client, session, 0);
  CHECK_EQ(execution.queue(client, session, mailbox), QNN_SUCCESS);
  CHECK(mailbox.wait(1) && mailbox.count_of(QNN_SUCCESS) == 1);
  CHECK(execution.right(client));
}
