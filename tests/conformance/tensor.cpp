// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tensors: roles, types, shapes, formats, memory, versions, ids.

#include <deque>

#include "scenarios.hpp"
#include "client.hpp"

namespace {

/** A graph that takes tensor after tensor, each under a name of its own. */
class Tensors {
 public:
  Tensors(Report& report, const Backend& backend)
      : client(backend), report_(report), data_(2 * add_bytes, 1) {
    client.api.graphCreate(client.context, "g", nullptr, &graph);
  }

  /** An intermediate tensor, to be changed. */
  Qnn_Tensor_t plain() {
    names_.push_back(text("t%zu", names_.size()));
    return u8_tensor(names_.back().c_str(), QNN_TENSOR_TYPE_NATIVE, 0.1f);
  }

  Qnn_Tensor_t of_type(Qnn_TensorType_t type) {
    Qnn_Tensor_t made = plain();
    made.v1.type = type;
    return made;
  }

  /** A constant that says it has `size` bytes; there is memory for twice the tensor. */
  Qnn_Tensor_t constant(std::size_t size) {
    Qnn_Tensor_t made = of_type(QNN_TENSOR_TYPE_STATIC);
    made.v1.clientBuf = {data_.data(), static_cast<std::uint32_t>(size)};
    return made;
  }

  void create(const std::string& what, Qnn_Tensor_t tensor) {
    ask("createGraphTensor" + what, tensor, [&] {
      return client.api.tensorCreateGraphTensor(graph, &tensor);
    });
  }

  template <typename Call>
  void ask(const std::string& name, const Qnn_Tensor_t& tensor, Call call) {
    report_.code(name, call, [&] { return text("id!=0=%d", tensor.v1.id != 0); });
  }

  Client client;
  Qnn_GraphHandle_t graph = nullptr;

 private:
  Report& report_;
  std::deque<std::string> names_;
  std::vector<std::uint8_t> data_;
};

void roles(Tensors& tensors) {
  const Qnn_Tensor_t first = tensors.of_type(QNN_TENSOR_TYPE_APP_WRITE);
  tensors.create("(APP_WRITE u8)", first);
  tensors.create(" duplicate name", first);
  tensors.create("(APP_READ u8)", tensors.of_type(QNN_TENSOR_TYPE_APP_READ));
  tensors.create("(NATIVE u8)", tensors.plain());
  tensors.create("(STATIC u8 data)", tensors.constant(add_bytes));
  tensors.create("(STATIC null data)", tensors.of_type(QNN_TENSOR_TYPE_STATIC));
  tensors.create("(STATIC short data)", tensors.constant(10));
  tensors.create("(STATIC oversized data)", tensors.constant(2 * add_bytes));
  const std::pair<const char*, Qnn_TensorType_t> others[] = {
      {"(APP_READWRITE)", QNN_TENSOR_TYPE_APP_READWRITE},
      {"(NULL type)", QNN_TENSOR_TYPE_NULL},
      {"(UPDATEABLE_STATIC)", QNN_TENSOR_TYPE_UPDATEABLE_STATIC},
      {"(UPDATEABLE_NATIVE)", QNN_TENSOR_TYPE_UPDATEABLE_NATIVE},
      {"(OPTIONAL_APP_WRITE)", QNN_TENSOR_TYPE_OPTIONAL_APP_WRITE},
      {"(type 77)", static_cast<Qnn_TensorType_t>(77)},
  };
  for (const auto& [label, type] : others) {
    Qnn_Tensor_t tensor = tensors.of_type(type);
    if (type == QNN_TENSOR_TYPE_UPDATEABLE_STATIC) {
      tensor.v1.clientBuf = tensors.constant(add_bytes).v1.clientBuf;
    }
    tensors.create(label, tensor);
  }
}

void names_and_shapes(Tensors& tensors) {
  Qnn_Tensor_t tensor = tensors.plain();
  tensor.v1.name = nullptr;
  tensors.create("(null name)", tensor);
  tensor.v1.name = "";
  tensors.create("(empty name)", tensor);
  tensor = tensors.plain();
  tensor.v1.rank = 0;
  tensor.v1.dimensions = nullptr;
  tensors.create("(rank 0 null dims)", tensor);
  std::uint32_t with_zero[] = {1, 0, 8, 32};
  tensor = tensors.plain();
  tensor.v1.dimensions = with_zero;
  tensors.create("(zero dim)", tensor);
  std::uint32_t ones[] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
  for (const std::uint32_t rank : {1, 2, 3, 5, 6, 7, 8, 9}) {
    tensor = tensors.plain();
    tensor.v1.rank = rank;
    tensor.v1.dimensions = ones;
    tensors.create(text("(rank %u)", rank), tensor);
  }
  std::uint32_t huge[] = {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF};
  tensor = tensors.plain();
  tensor.v1.dimensions = huge;
  tensors.create("(huge dims)", tensor);
}

void numbers(Tensors& tensors) {
  Qnn_Tensor_t tensor = tensors.plain();
  tensor.v1.quantizeParams = QNN_QUANTIZE_PARAMS_INIT;
  tensors.create("(u8 no quant)", tensor);
  tensor = tensors.plain();
  tensor.v1.quantizeParams.scaleOffsetEncoding.scale = -0.5f;
  tensors.create("(scale negative)", tensor);
  tensor = tensors.plain();
  tensor.v1.quantizeParams.scaleOffsetEncoding.scale = 0.0f;
  tensors.create("(scale zero)", tensor);
  for (const std::uint32_t type :
       {0x008,  0x016, 0x032, 0x064, 0x108, 0x116, 0x132, 0x164, 0x216, 0x226, 0x232, 0x264, 0x304,
        0x308,  0x316, 0x332, 0x404, 0x408, 0x416, 0x432, 0x508, 0x608, 0x999, 0x7fffffff}) {
    tensor = tensors.plain();
    tensor.v1.dataType = static_cast<Qnn_DataType_t>(type);
    tensors.create(text("(NATIVE dtype 0x%04x)", type), tensor);
  }
  for (std::uint32_t format = 0; format <= 12; ++format) {
    tensor = tensors.plain();
    tensor.v1.dataFormat = static_cast<Qnn_TensorDataFormat_t>(format);
    tensors.create(text("(dataFormat %u)", format), tensor);
  }
}

Qnn_Tensor_t as_v2(const Qnn_Tensor_t& v1) {
  Qnn_Tensor_t made = v1;    // the fields of version 1 come first
  made.version = QNN_TENSOR_VERSION_2;
  made.v2.isDynamicDimensions = nullptr;
  made.v2.sparseParams = QNN_SPARSE_PARAMS_INIT;
  made.v2.isProduced = 0;
  return made;
}

void memory_and_versions(Tensors& tensors) {
  Qnn_Tensor_t tensor = tensors.plain();
  tensor.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  tensor.v1.memHandle = nullptr;
  tensors.create("(memType MEMHANDLE null)", tensor);
  tensor = tensors.plain();
  tensor.v1.memType = QNN_TENSORMEMTYPE_UNDEFINED;
  tensors.create("(memType UNDEFINED)", tensor);
  tensor = tensors.constant(add_bytes);
  tensor.v1.type = QNN_TENSOR_TYPE_APP_WRITE;
  tensors.create("(APP_WRITE with data)", tensor);
  tensors.create("(V2)", as_v2(tensors.plain()));
  std::uint8_t dynamic[] = {0, 1, 0, 0};
  tensor = as_v2(tensors.of_type(QNN_TENSOR_TYPE_APP_WRITE));
  tensor.v2.isDynamicDimensions = dynamic;
  tensors.create("(V2 dynamic dim)", tensor);
  tensor = as_v2(tensors.plain());
  tensor.version = static_cast<Qnn_TensorVersion_t>(3);
  tensors.create("(version 3)", tensor);
}

void tensor(Report& report, const Backend& backend, std::uint32_t) {
  Tensors tensors(report, backend);
  roles(tensors);
  names_and_shapes(tensors);
  numbers(tensors);
  memory_and_versions(tensors);
  const Table& api = tensors.client.api;
  Qnn_Tensor_t last = tensors.plain();
  report.code("createGraphTensor(null graph)",
              [&] { return api.tensorCreateGraphTensor(nullptr, &last); });
  last = tensors.constant(add_bytes);
  report.code("createContextTensor(STATIC)",
              [&] { return api.tensorCreateContextTensor(tensors.client.context, &last); });
  last = tensors.of_type(QNN_TENSOR_TYPE_APP_WRITE);
  report.code("createContextTensor(APP_WRITE)",
              [&] { return api.tensorCreateContextTensor(tensors.client.context, &last); });
}

void id_scope(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Qnn_ContextHandle_t contexts[2] = {client.context, nullptr};
  client.api.contextCreate(client.backend, client.device, nullptr, &contexts[1]);
  Qnn_GraphHandle_t graphs[2] = {};
  std::uint32_t ids[2] = {};
  for (const int index : {0, 1}) {
    client.api.graphCreate(contexts[index], "g", nullptr, &graphs[index]);
    Qnn_Tensor_t tensor = u8_tensor("t", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
    client.api.tensorCreateGraphTensor(graphs[index], &tensor);
    ids[index] = tensor.v1.id;
  }
  report.word("id of first tensor in context 1 / context 2", text("%u / %u", ids[0], ids[1]));
  report.word("graph handles in two contexts", graphs[0] == graphs[1] ? "equal" : "different");
}

void ids(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const char* const names[] = {"t0", "t1", "t2", "t3"};
  for (const char* const which : {"first", "second"}) {
    Qnn_GraphHandle_t graph = nullptr;
    client.api.graphCreate(client.context, which, nullptr, &graph);
    std::string seen;
    for (const char* const name : names) {
      Qnn_Tensor_t tensor = u8_tensor(name, QNN_TENSOR_TYPE_NATIVE, 0.1f);
      client.api.tensorCreateGraphTensor(graph, &tensor);
      seen += text(seen.empty() ? "%u" : " %u", tensor.v1.id);
    }
    report.word(text("ids of 4 tensors in %s graph", which), seen);
  }
}

/** Static data that changes at `moment`: does the execution see the old or the new? */
std::string sees_change(Client& client, const char* moment) {
  AddGraph add(client.api);
  const auto change_at = [&](const char* now) {
    if (std::string(now) == moment) {
      add.b.assign(add_bytes, 80);
    }
  };
  add.in[1].v1.type = QNN_TENSOR_TYPE_STATIC;
  add.in[1].v1.clientBuf = {add.b.data(), add_bytes};
  client.api.graphCreate(client.context, moment, nullptr, &add.graph);
  for (Qnn_Tensor_t* tensor : {&add.in[0], &add.in[1], &add.out}) {
    client.api.tensorCreateGraphTensor(add.graph, tensor);
  }
  change_at("createGraphTensor");
  client.api.graphAddNode(add.graph, add.op());
  change_at("addNode");
  client.api.graphFinalize(add.graph, nullptr, nullptr);
  change_at("finalize");
  add.bind();
  client.api.graphExecute(add.graph, add.in.data(), 1, &add.out, 1, nullptr, nullptr);
  return add.y[0] == 30 ? "old value used (copied)" : text("out[0]=%d", add.y[0]);
}

void static_copy(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  for (const char* const moment : {"createGraphTensor", "addNode", "finalize"}) {
    report.word(text("static data changed after %s", moment), sees_change(client, moment));
  }
}

void bogus_graph(Report& report, const Backend& backend, std::uint32_t) {
  Qnn_Tensor_t tensor = u8_tensor("t", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
  report.code("createGraphTensor(bogus graph)", [&] {
    return backend.api().tensorCreateGraphTensor(reinterpret_cast<void*>(0x1234), &tensor);
  });
}

void null_dims(Report& report, const Backend& backend, std::uint32_t) {
  Tensors tensors(report, backend);
  Qnn_Tensor_t tensor = tensors.plain();
  tensor.v1.dimensions = nullptr;
  report.code("createGraphTensor(rank 4 null dims)",
              [&] { return tensors.client.api.tensorCreateGraphTensor(tensors.graph, &tensor); });
}

void null_tensor(Report& report, const Backend& backend, std::uint32_t) {
  Tensors tensors(report, backend);
  report.code("createGraphTensor(null tensor)",
              [&] { return tensors.client.api.tensorCreateGraphTensor(tensors.graph, nullptr); });
}

void null_context_tensor(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  report.code("createContextTensor(null)",
              [&] { return client.api.tensorCreateContextTensor(client.context, nullptr); });
}

}  // namespace

Scenarios tensor_scenarios() {
  return {{"tensor", tensor},
          {"tensor.idscope", id_scope},
          {"static.copy", static_copy},
          {"tensor.ids", ids},
          {"tensor.bogus", bogus_graph},
          {"tensor.nulldims", null_dims},
          {"tensor.null", null_tensor},
          {"tensor.ctxnull", null_context_tensor}};
}
