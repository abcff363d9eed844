// SPDX-License-Identifier: Apache-2.0 OR MIT
// What each platform allows: asynchronous execution and recovery from a crash.

#include <array>
#include <cstdint>

#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

/** Makes the virtual device one of `platform`, and runs the same client on it. */
void rules_of(htp_rt_platform_t platform, uint32_t arch, bool asynchronous, bool restarts) {
  htp_rt_vdev_config_t vdev = {};
  vdev.struct_size = sizeof vdev;
  vdev.platform = static_cast<uint32_t>(platform);
  vdev.arch = arch;
  REQUIRE(htp_rt_vdev_configure(&vdev) == QNN_SUCCESS);
  Session session;
  Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  net.finalize();
  REQUIRE(net.error == QNN_SUCCESS);

  Picture picture{{1, 2, 3}}, result{};
  Waiter waiter;
  const Qnn_ErrorHandle_t code = net.execute_async(picture, result, Waiter::notify, &waiter);
  CHECK_EQ(code, asynchronous ? QNN_SUCCESS : QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE);
  if (asynchronous) {
    CHECK_EQ(waiter.wait(1)[0], QNN_SUCCESS);
  }
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_GRAPH_SUPPORT_ASYNC_EXECUTION),
           asynchronous ? QNN_PROPERTY_SUPPORTED : QNN_PROPERTY_NOT_SUPPORTED);
  CHECK_EQ(net.execute(picture, result), QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(picture));

  CHECK_EQ(htp_rt_vdev_crash(0), QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result),
           restarts ? QNN_COMMON_ERROR_SYSTEM_COMMUNICATION : QNN_COMMON_ERROR_SYSTEM);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  const Qnn_ErrorHandle_t again =
      qnn().contextCreate(session.backend, session.device, nullptr, &context);
  CHECK_EQ(again, restarts ? QNN_SUCCESS : QNN_COMMON_ERROR_SYSTEM);
  // A refused request was told to nobody.
  CHECK_EQ(waiter.count(), asynchronous ? 1 : 0);
}

}  // namespace

// REQ: ASYNC-018, SSR-002
TEST(qnx_adas_of_any_architecture) { rules_of(HTP_RT_PLATFORM_QNX_ADAS, 68, true, true); }

// REQ: ASYNC-019, SSR-002
TEST(qnx_ivi_from_architecture_73_on) { rules_of(HTP_RT_PLATFORM_QNX_IVI, 73, true, true); }

// REQ: ASYNC-019
TEST(qnx_ivi_before_architecture_73) { rules_of(HTP_RT_PLATFORM_QNX_IVI, 69, false, true); }

// REQ: ASYNC-022
TEST(android) { rules_of(HTP_RT_PLATFORM_ANDROID, 75, false, true); }

// REQ: ASYNC-022, SSR-002
TEST(linux_on_arm) { rules_of(HTP_RT_PLATFORM_LINUX_ARM, 75, false, true); }

// REQ: ASYNC-022, SSR-002
TEST(windows) { rules_of(HTP_RT_PLATFORM_WINDOWS, 73, false, true); }

// REQ: ASYNC-021, SSR-002
TEST(the_host_simulation) { rules_of(HTP_RT_PLATFORM_X86_SIMULATION, 73, false, false); }
