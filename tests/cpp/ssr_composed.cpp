// SPDX-License-Identifier: Apache-2.0 OR MIT
// A restart of the DSP under a graph that the client composed: everything is composed again.

#include <array>
#include <cstdint>

#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

constexpr Qnn_ErrorHandle_t stale = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;

using Picture = std::array<uint8_t, ConvRelu::bytes>;

bool answers(ConvRelu& net) {
  Picture picture{{7, 0, 3, 5, 1}}, result{};
  return net.execute(picture, result) == QNN_SUCCESS && result == ConvRelu::expected(picture);
}

}  // namespace

// REQ: SSR-004, SSR-011, SSR-018, SSR-022
TEST(a_client_composes_its_graph_again) {
  Session session;
  Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  net.finalize();
  REQUIRE(net.error == QNN_SUCCESS && answers(net));

  Picture picture{}, result{};
  CHECK_EQ(htp_rt_vdev_crash(1), QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result), stale);
  CHECK_EQ(net.execute(picture, result), stale);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  const Qnn_ContextHandle_t again = session.context();
  CHECK(again != nullptr && again != context);
  ConvRelu second(again);    // the same names
  second.compose();
  second.finalize();
  CHECK_EQ(second.error, QNN_SUCCESS);
  CHECK(second.graph != net.graph);
  CHECK(answers(second));
  CHECK_EQ(qnn().contextFree(again, nullptr), QNN_SUCCESS);
}

// REQ: SSR-008, SSR-009, SSR-022
TEST(nothing_is_added_to_a_graph_of_an_earlier_life) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu half(context, "half");
  half.compose();
  REQUIRE(half.error == QNN_SUCCESS);
  ConvRelu running(context, "running");
  running.compose();
  running.finalize();
  CHECK_EQ(htp_rt_vdev_crash(0), QNN_SUCCESS);
  Picture picture{}, result{};
  CHECK_EQ(running.execute(picture, result), stale);
  uint64_t before = 0, after = 0;
  uint32_t count = 0;
  CHECK_EQ(htp_rt_vdev_journal(nullptr, 0, &count, &before), QNN_SUCCESS);

  CHECK_EQ(qnn().graphFinalize(half.graph, nullptr, nullptr), stale);
  CHECK_EQ(qnn().tensorCreateGraphTensor(half.graph, &half.x), stale);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(context, "third", nullptr, &graph), stale);
  Qnn_ContextBinarySize_t size = 0;
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), stale);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_journal(nullptr, 0, &count, &after), QNN_SUCCESS);
  CHECK_EQ(after, before);    // the new session was told nothing
}
