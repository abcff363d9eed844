// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// The README's excerpt, compiled and run: what stands between the two marks is what it shows.

#include <cstdint>

#include "support/check.hpp"
#include "support/digits.hpp"

// README begin
#include "htp_runtime.hpp"

// Queues one image on a new context; `done` is called exactly once if this succeeds.
htp::Error classify(const htp::Backend& backend, const htp::Device& device,
                    htp::Span<const std::uint8_t> network, htp::Span<std::uint8_t> pixels,
                    htp::Span<std::uint8_t> scores, htp::Span<std::uint8_t> shares,
                    htp::ErrorCallback done, htp::Context& context) {
  htp::ContextConfig config;
  config.queue_depth = 25;
  config.priority = htp::Priority::high;
  if (auto error = htp::Context::from_binary(backend, device, network, config).into(context)) {
    return error;
  }
  auto graph = context.graph("digits");
  auto image = graph->tensor("image");
  auto logits = graph->tensor("logits");
  auto probabilities = graph->tensor("probabilities");
  const Qnn_Tensor_t inputs[] = {image->bind(pixels)};
  Qnn_Tensor_t outputs[] = {logits->bind(scores), probabilities->bind(shares)};
  return graph->execute_async(inputs, outputs, done);
}
// README end

TEST(the_excerpt_classifies_a_digit) {
  REQUIRE(configure_device(HTP_RT_PLATFORM_QNX_ADAS) == QNN_SUCCESS);
  auto backend = htp::Backend::create();
  auto device = htp::Device::create();
  const Digits digits;
  Buffers buffers;
  Mailbox mailbox;
  htp::Context context;
  buffers.show(digits, 3);
  auto done = [&](htp::Error error) { mailbox.put(error.handle()); };
  const htp::Error error = classify(*backend, *device, digits.network, buffers.image,
                                    buffers.logits, buffers.probabilities, done, context);
  CHECK(!error);
  REQUIRE(!error && mailbox.wait(1));
  CHECK_EQ(mailbox.count_of(QNN_SUCCESS), 1);
  CHECK(digits.is_answer(3, buffers.logits.data()));
}
