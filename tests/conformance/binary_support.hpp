// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the scenarios of context binaries share.

#pragma once

#include <vector>

#include "client.hpp"

using Bytes = std::vector<std::uint8_t>;
using ContextConfigs = ConfigList<QnnContext_Config_t>;

/** The binary of a context, empty if it cannot be had. */
inline Bytes binary_of(const Table& api, Qnn_ContextHandle_t context) {
  Qnn_ContextBinarySize_t size = 0;
  api.contextGetBinarySize(context, &size);
  Bytes bytes(static_cast<std::size_t>(size));
  Qnn_ContextBinarySize_t written = 0;
  if (bytes.empty() ||
      api.contextGetBinary(context, bytes.data(), size, &written) != QNN_SUCCESS) {
    return {};
  }
  bytes.resize(static_cast<std::size_t>(written));
  return bytes;
}

/** A client with the graph `add`, finalized, and the binary of its context. */
struct BinaryClient : Client {
  explicit BinaryClient(const Backend& from) : Client(from), add(api) {
    add.build_and_finalize(context);
    binary = binary_of(api, context);
  }

  Qnn_ErrorHandle_t load(const Bytes& bytes, Qnn_ContextHandle_t* made,
                         const QnnContext_Config_t** config = nullptr) const {
    return api.contextCreateFromBinary(backend, device, config, bytes.data(), bytes.size(), made,
                                       nullptr);
  }

  AddGraph add;
  Bytes binary;
};

inline QnnContext_Config_t context_option(int number) {
  QnnContext_Config_t config{};
  config.option = static_cast<QnnContext_ConfigOption_t>(number);
  return config;
}
