// SPDX-License-Identifier: Apache-2.0 OR MIT
// Shared buffers.

#include <sys/mman.h>
#include <unistd.h>

#include "HTP/QnnHtpMem.h"
#include "client.hpp"
#include "profile_events.hpp"
#include "scenarios.hpp"

namespace {

/** A descriptor of one tensor's worth of memory. */
Qnn_MemDescriptor_t describe(int type) {
  Qnn_MemDescriptor_t made = QNN_MEM_DESCRIPTOR_INIT;
  made.memShape.numDim = static_cast<std::uint32_t>(add_dims.size());
  made.memShape.dimSize = add_dims.data();
  made.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  made.memType = static_cast<Qnn_MemType_t>(type);
  made.customInfo = nullptr;
  return made;
}

struct Named {
  std::string name;
  Qnn_MemDescriptor_t descriptor;
};

/** Every kind of memory. `htp` is what the custom ones point to. */
std::vector<Named> kinds(int fd, std::array<QnnMemHtp_Descriptor_t, 5>& htp) {
  std::vector<Named> list;
  Qnn_MemDescriptor_t next = describe(QNN_MEM_TYPE_ION);
  next.ionInfo.fd = -1;
  list.push_back({"ION fd -1", next});
  next.ionInfo.fd = fd;
  list.push_back({"ION memfd", next});
  next = describe(QNN_MEM_TYPE_DMA_BUF);
  next.dmaBufInfo = {fd, nullptr};
  list.push_back({"DMA_BUF memfd", next});
  list.push_back({"CUSTOM null", describe(QNN_MEM_TYPE_CUSTOM)});
  for (std::size_t type = 0; type < htp.size(); ++type) {
    htp[type] = {};
    htp[type].type = static_cast<QnnHtpMem_Type_t>(type);
    htp[type].size = add_bytes;
    htp[type].sharedBufferConfig = {fd, 0};
    next = describe(QNN_MEM_TYPE_CUSTOM);
    next.customInfo = &htp[type];
    list.push_back({text("CUSTOM htp type %zu", type), next});
  }
  list.push_back({"DX12", describe(QNN_MEM_TYPE_DX12)});
  list.push_back({"type UNDEFINED", describe(QNN_MEM_TYPE_UNDEFINED)});
  return list;
}

void mem(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  const int fd = memfd_create("conformance", 0);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(add_bytes)) != 0) {
    return;
  }
  std::array<QnnMemHtp_Descriptor_t, 5> htp{};
  const Qnn_MemHandle_t untouched = bogus_handle();
  for (const Named& named : kinds(fd, htp)) {
    Qnn_MemHandle_t handle = untouched;
    report.code(
        "memRegister(" + named.name + ")",
        [&] { return api.memRegister(client.context, &named.descriptor, 1, &handle); },
        [&] { return handle == untouched ? "handle untouched" : "handle written"; });
    if (handle != untouched) {
      api.memDeRegister(&handle, 1);
    }
  }
  Qnn_MemDescriptor_t ion = describe(QNN_MEM_TYPE_ION);
  ion.ionInfo.fd = fd;
  Qnn_MemHandle_t handle = nullptr;
  report.code("memRegister(null desc)",
              [&] { return api.memRegister(client.context, nullptr, 1, &handle); });
  report.code("memRegister(0 descriptors)",
              [&] { return api.memRegister(client.context, &ion, 0, &handle); });
  report.code("memRegister(null handles)",
              [&] { return api.memRegister(client.context, &ion, 1, nullptr); });
  report.code("memRegister(null ctx)", [&] { return api.memRegister(nullptr, &ion, 1, &handle); });
  report.code("memDeRegister(null,1)", [&] { return api.memDeRegister(nullptr, 1); });
  report.code("memDeRegister(h,0)", [&] { return api.memDeRegister(&handle, 0); });
  const Qnn_MemHandle_t null_handle = nullptr;
  report.code("memDeRegister({null},1)", [&] { return api.memDeRegister(&null_handle, 1); });
  close(fd);
}

void bogus(Report& report, const Backend& backend, std::uint32_t) {
  const Qnn_MemHandle_t handle = bogus_handle();
  report.code("memDeRegister(bogus)", [&] { return backend.api().memDeRegister(&handle, 1); });
}

}  // namespace

Scenarios mem_scenarios() { return {{"mem", mem}, {"mem.bogus", bogus}}; }
