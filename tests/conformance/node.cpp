// SPDX-License-Identifier: Apache-2.0 OR MIT
// Operations: what can be added to a graph, and what finalization says of it.

#include "client.hpp"
#include "scenarios.hpp"

namespace {

/** A graph whose tensors are there and whose operations are added one by one. */
struct Nodes : AddGraph {
  Nodes(const Client& client, const char* name, std::uint32_t* out_dims = add_dims.data())
      : AddGraph(client.api) {
    out.v1.dimensions = out_dims;
    api.graphCreate(client.context, name, nullptr, &graph);
    add(in[0]);
    add(in[1]);
    add(out);
  }

  void add(Qnn_Tensor_t& tensor) { api.tensorCreateGraphTensor(graph, &tensor); }

  Qnn_ErrorHandle_t finalize() { return api.graphFinalize(graph, nullptr, nullptr); }

  void ask(Report& report, const std::string& what, const Qnn_OpConfig_t& op) {
    report.code("addNode(" + what + ")", [&] { return api.graphAddNode(graph, op); });
  }
};

void unknown_op(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Nodes bad(client, "bad");
  Qnn_OpConfig_t op = bad.op();
  op.v1.typeName = "NoSuchOp";
  bad.ask(report, "unknown op", op);
  report.code("finalize graph with unknown op", [&] { return bad.finalize(); });
  report.code("execute after failed finalize", [&] { return bad.execute(); });
  report.code("finalize again after failure", [&] { return bad.finalize(); });
  Qnn_ContextBinarySize_t size = 0;
  report.code("getBinarySize with a failed graph",
              [&] { return client.api.contextGetBinarySize(client.context, &size); });
  AddGraph good(client.api);
  report.code("another good graph in the same context",
              [&] { return good.build_and_finalize(client.context, "good"); });
  report.code("execute the good graph", [&] { return good.execute(); },
              [&] { return good.seen(); });
  report.code("contextFree", [&] { return client.api.contextFree(client.context, nullptr); });
}

void one_input(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Nodes nodes(client, "g");
  Qnn_OpConfig_t op = nodes.op();
  op.v1.numOfInputs = 1;
  nodes.ask(report, "Add, 1 input", op);
  report.code("finalize Add with 1 input", [&] { return nodes.finalize(); });
}

void bad_shape(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  std::uint32_t other[] = {1, 4, 4, 32};
  Nodes nodes(client, "g", other);
  nodes.ask(report, "Add, output shape mismatch", nodes.op());
  report.code("finalize Add with wrong output shape", [&] { return nodes.finalize(); });
}

void no_node(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Nodes nodes(client, "g");
  report.code("finalize graph with a tensor but no node", [&] { return nodes.finalize(); });
}

/** One operation with one field that no client should give. */
void broken(Report& report, const Backend& backend, std::uint32_t variant) {
  Client client(backend);
  Nodes nodes(client, "g");
  Qnn_OpConfig_t op = nodes.op();
  const char* const names[] = {"null package", "null type name", "null node name",
                               "numOfInputs 2, array null", "opConfig version 2"};
  switch (variant) {
    case 0: op.v1.packageName = nullptr; break;
    case 1: op.v1.typeName = nullptr; break;
    case 2: op.v1.name = nullptr; break;
    case 3: op.v1.inputTensors = nullptr; break;
    default: op.version = static_cast<Qnn_OpConfigVersion_t>(2); break;
  }
  nodes.ask(report, names[variant], op);
}

void node(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Nodes nodes(client, "g");
  Qnn_OpConfig_t op = nodes.op();
  report.code("addNode(null graph)", [&] { return client.api.graphAddNode(nullptr, op); });
  // Each operation that may be accepted writes a tensor of its own.
  Qnn_Tensor_t results[] = {u8_tensor("y0", QNN_TENSOR_TYPE_NATIVE, 0.2f),
                            u8_tensor("y1", QNN_TENSOR_TYPE_NATIVE, 0.2f),
                            u8_tensor("y2", QNN_TENSOR_TYPE_NATIVE, 0.2f)};
  for (Qnn_Tensor_t& result : results) {
    nodes.add(result);
  }
  op.v1.typeName = "NoSuchOp";
  nodes.ask(report, "unknown op", op);
  op = nodes.op();
  op.v1.packageName = "no.such.package";
  op.v1.outputTensors = &results[0];
  nodes.ask(report, "unknown package", op);
  op = nodes.op();
  op.v1.typeName = "";    // null is a scenario of its own
  op.v1.outputTensors = &results[0];
  nodes.ask(report, "null type", op);
  Qnn_Tensor_t inputs[] = {nodes.in[0], results[2]};
  op = nodes.op();
  op.v1.inputTensors = inputs;
  op.v1.outputTensors = &results[1];
  nodes.ask(report, "input not yet produced", op);
  op = nodes.op();
  op.v1.numOfInputs = 1;
  op.v1.outputTensors = &results[1];
  nodes.ask(report, "Add 1 input", op);
  op = nodes.op();
  op.v1.numOfOutputs = 0;
  nodes.ask(report, "Add no outputs", op);
  inputs[1] = u8_tensor("never", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
  inputs[1].v1.id = 4242;
  op = nodes.op();
  op.v1.inputTensors = inputs;
  op.v1.outputTensors = &results[2];
  nodes.ask(report, "tensor never created", op);
}

void ok(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Nodes nodes(client, "g");
  Qnn_Tensor_t between = u8_tensor("between", QNN_TENSOR_TYPE_NATIVE, 0.2f);
  nodes.add(between);
  Qnn_Tensor_t second = u8_tensor("second", QNN_TENSOR_TYPE_NATIVE, 0.2f);
  nodes.add(second);
  Qnn_OpConfig_t op = nodes.op();
  op.v1.outputTensors = &between;
  nodes.ask(report, "Add ok", op);
  op.v1.outputTensors = &second;
  nodes.ask(report, "duplicate node name", op);
  op.v1.name = "again";
  op.v1.outputTensors = &between;
  nodes.ask(report, "output tensor written twice", op);
  op = nodes.op();
  op.v1.name = "relu";
  op.v1.typeName = QNN_OP_RELU;
  op.v1.numOfInputs = 1;
  op.v1.inputTensors = &between;
  nodes.ask(report, "Relu native->out", op);
  report.code("finalize", [&] { return nodes.finalize(); });
}

void unconsumed(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Nodes nodes(client, "g");
  Qnn_Tensor_t unused = u8_tensor("unused", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
  nodes.add(unused);
  client.api.graphAddNode(nodes.graph, nodes.op());
  report.code("finalize with unconnected tensors", [&] { return nodes.finalize(); });
  report.code("execute without the unused input", [&] { return nodes.execute(); },
              [&] { return nodes.seen(); });
  nodes.bind();
  Qnn_Tensor_t inputs[] = {nodes.in[0], nodes.in[1], unused};
  inputs[2].v1.clientBuf = nodes.in[0].v1.clientBuf;
  report.code(
      "execute with the unused input too",
      [&] {
        return client.api.graphExecute(nodes.graph, inputs, 3, &nodes.out, 1, nullptr, nullptr);
      },
      [&] { return nodes.seen(); });
}

/** A convolution of 3x3 over 16 channels, and what its parameters and its data are. */
class Convolution {
 public:
  explicit Convolution(const Client& client) : api_(client.api) {
    api_.graphCreate(client.context, "conv", nullptr, &graph);
    x = made("x", QNN_TENSOR_TYPE_APP_WRITE, x_dims_, 4, 0.1f);
    w = made("w", QNN_TENSOR_TYPE_STATIC, w_dims_, 4, 0.1f);
    w.v1.clientBuf = {ones_.data(), static_cast<std::uint32_t>(ones_.size())};
    b = words("b", b_dims_, 1, zeros_.data(), QNN_DATATYPE_SFIXED_POINT_32);
    b.v1.quantizeParams = w.v1.quantizeParams;
    b.v1.quantizeParams.scaleOffsetEncoding.scale = 0.01f;
    n = made("n", QNN_TENSOR_TYPE_NATIVE, y_dims_, 4, 1.0f);
    y = made("y", QNN_TENSOR_TYPE_APP_READ, y_dims_, 4, 1.0f);
    stride = words("stride", two_, 1, units_, QNN_DATATYPE_UINT_32);
    pad = words("pad", two_by_two_, 2, units_, QNN_DATATYPE_UINT_32);
    dilation = words("dil", two_, 1, units_, QNN_DATATYPE_UINT_32);
  }

  Qnn_OpConfig_t convolution(bool with_params) {
    Qnn_OpConfig_t op = operation("conv", QNN_OP_CONV_2D, 3, &n);
    inputs_ = {x, w, b};
    op.v1.inputTensors = inputs_.data();
    params_ = {param(QNN_OP_CONV_2D_PARAM_STRIDE, stride),
               param(QNN_OP_CONV_2D_PARAM_PAD_AMOUNT, pad),
               param(QNN_OP_CONV_2D_PARAM_DILATION, dilation)};
    op.v1.params = with_params ? params_.data() : nullptr;
    op.v1.numOfParams = with_params ? static_cast<std::uint32_t>(params_.size()) : 0;
    return op;
  }

  Qnn_OpConfig_t relu() {
    Qnn_OpConfig_t op = operation("relu", QNN_OP_RELU, 1, &y);
    op.v1.inputTensors = &n;
    return op;
  }

  Qnn_ErrorHandle_t create(Qnn_Tensor_t& tensor) {
    return api_.tensorCreateGraphTensor(graph, &tensor);
  }

  Qnn_ErrorHandle_t execute() {
    x.v1.clientBuf = {tens_.data(), static_cast<std::uint32_t>(tens_.size())};
    y.v1.clientBuf = {result.data(), static_cast<std::uint32_t>(result.size())};
    return api_.graphExecute(graph, &x, 1, &y, 1, nullptr, nullptr);
  }

  Qnn_GraphHandle_t graph = nullptr;
  Qnn_Tensor_t x, w, b, n, y, stride, pad, dilation;
  std::vector<std::uint8_t> result = std::vector<std::uint8_t>(8 * 8 * 16);

 private:
  static Qnn_Tensor_t made(const char* name, Qnn_TensorType_t type, std::uint32_t* dims,
                           std::uint32_t rank, float scale) {
    Qnn_Tensor_t tensor = u8_tensor(name, type, scale);
    tensor.v1.dimensions = dims;
    tensor.v1.rank = rank;
    return tensor;
  }

  static Qnn_Tensor_t words(const char* name, std::uint32_t* dims, std::uint32_t rank,
                            std::uint32_t* data, Qnn_DataType_t type) {
    Qnn_Tensor_t tensor = made(name, QNN_TENSOR_TYPE_STATIC, dims, rank, 1.0f);
    tensor.v1.dataType = type;
    tensor.v1.quantizeParams = QNN_QUANTIZE_PARAMS_INIT;
    const std::uint32_t count = rank == 1 ? dims[0] : dims[0] * dims[1];
    tensor.v1.clientBuf = {data, count * 4};
    return tensor;
  }

  static Qnn_OpConfig_t operation(const char* name, const char* type, std::uint32_t inputs,
                                  Qnn_Tensor_t* output) {
    Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
    op.v1.name = name;
    op.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
    op.v1.typeName = type;
    op.v1.numOfInputs = inputs;
    op.v1.numOfOutputs = 1;
    op.v1.outputTensors = output;
    return op;
  }

  static Qnn_Param_t param(const char* name, const Qnn_Tensor_t& tensor) {
    Qnn_Param_t made = QNN_PARAM_INIT;
    made.paramType = QNN_PARAMTYPE_TENSOR;
    made.name = name;
    made.tensorParam = tensor;
    return made;
  }

  const Table& api_;
  std::uint32_t x_dims_[4] = {1, 8, 8, 16};
  std::uint32_t w_dims_[4] = {3, 3, 16, 16};
  std::uint32_t y_dims_[4] = {1, 8, 8, 16};
  std::uint32_t b_dims_[1] = {16};
  std::uint32_t two_[1] = {2};
  std::uint32_t two_by_two_[2] = {2, 2};
  std::uint32_t units_[4] = {1, 1, 1, 1};
  std::vector<std::uint8_t> ones_ = std::vector<std::uint8_t>(3 * 3 * 16 * 16, 1);
  std::vector<std::uint8_t> tens_ = std::vector<std::uint8_t>(8 * 8 * 16, 10);
  std::vector<std::uint32_t> zeros_ = std::vector<std::uint32_t>(16, 0);
  std::array<Qnn_Tensor_t, 3> inputs_{};
  std::array<Qnn_Param_t, 3> params_{};
};

void conv(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Convolution conv(client);
  for (Qnn_Tensor_t* tensor :
       {&conv.x, &conv.w, &conv.b, &conv.n, &conv.y, &conv.stride, &conv.pad, &conv.dilation}) {
    report.code(text("createGraphTensor(%s)", tensor->v1.name),
                [&] { return conv.create(*tensor); });
  }
  report.code("addNode(Conv2d)",
              [&] { return client.api.graphAddNode(conv.graph, conv.convolution(true)); });
  report.code("addNode(Relu)", [&] { return client.api.graphAddNode(conv.graph, conv.relu()); });
  report.code("finalize",
              [&] { return client.api.graphFinalize(conv.graph, nullptr, nullptr); });
  report.code("execute", [&] { return conv.execute(); });
  report.word("center value (expect 1.0*0.1*144=14 q)", text("%d", conv.result[(4 * 8 + 4) * 16]));
  report.word("corner value (4/9 of it)", text("%d", conv.result[0]));
}

void conv_without_params(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Convolution conv(client);
  for (Qnn_Tensor_t* tensor : {&conv.x, &conv.w, &conv.b, &conv.n}) {
    conv.create(*tensor);
  }
  report.code("addNode(Conv2d without mandatory stride/pad params)",
              [&] { return client.api.graphAddNode(conv.graph, conv.convolution(false)); });
}

}  // namespace

Scenarios node_scenarios() {
  return {{"node.unknownop", unknown_op},
          {"node.oneinput", one_input},
          {"node.badshape", bad_shape},
          {"node.noinputs", no_node},
          {"node.nullpkg", broken, 0},
          {"node.nulltype", broken, 1},
          {"node.nullname", broken, 2},
          {"node.nullarray", broken, 3},
          {"node.version", broken, 4},
          {"node", node},
          {"node.ok", ok},
          {"node.unconsumed", unconsumed},
          {"conv", conv},
          {"conv.noparams", conv_without_params}};
}
