// SPDX-License-Identifier: Apache-2.0 OR MIT
// Executions: states of the graph, and what the tensors of a call may look like.

#include <atomic>
#include <thread>

#include "client.hpp"
#include "scenarios.hpp"

namespace {

/** A graph and the calls that change one thing about its tensors. */
class Executions {
 public:
  Executions(Report& report, const Backend& backend) : client(backend), add(client.api),
        report_(report) {}

  /** Executes with the lists as `change` leaves them. */
  template <typename Change>
  void changed(const std::string& what, Change change) {
    report_.code("execute(" + what + ")", [&] { return call(change); });
  }

  /** The same, for a call that should succeed: what came out is reported. */
  template <typename Change>
  void seen(const std::string& what, Change change) {
    report_.code("execute(" + what + ")", [&] { return call(change); },
                 [&] { return add.seen(); });
  }

  Client client;
  AddGraph add;
  std::vector<Qnn_Tensor_t> inputs;
  std::vector<Qnn_Tensor_t> outputs;
  Qnn_GraphHandle_t graph = nullptr;

 private:
  template <typename Change>
  Qnn_ErrorHandle_t call(Change change) {
    add.bind();
    add.y.assign(add.y.size(), 0);
    inputs.assign(add.in.begin(), add.in.end());
    outputs.assign(1, add.out);
    graph = add.graph;
    change();
    const auto count = [](const std::vector<Qnn_Tensor_t>& list) {
      return static_cast<std::uint32_t>(list.size());
    };
    return add.api.graphExecute(graph, inputs.data(), count(inputs), outputs.data(),
                                count(outputs), nullptr, nullptr);
  }

  Report& report_;
};

void states(Report& report, Executions& run) {
  const Table& api = run.add.api;
  AddGraph& add = run.add;
  const Qnn_ContextHandle_t context = run.client.context;
  const auto execute = [&] { return add.execute(); };
  const auto seen = [&] { return add.seen(); };
  report.code("build", [&] { return add.build(context); });
  report.code("execute before finalize", execute);
  report.code("finalize", [&] { return api.graphFinalize(add.graph, nullptr, nullptr); });
  report.code("execute", execute, seen);
  report.code("finalize twice", [&] { return api.graphFinalize(add.graph, nullptr, nullptr); });
  report.code("execute again", execute, seen);
  report.code("addNode after finalize", [&] { return api.graphAddNode(add.graph, add.op()); });
  Qnn_Tensor_t late = u8_tensor("late", QNN_TENSOR_TYPE_NATIVE, 0.1f);
  report.code("createGraphTensor after finalize",
              [&] { return api.tensorCreateGraphTensor(add.graph, &late); });
  Qnn_GraphHandle_t other = nullptr;
  report.code("graphCreate after another graph was finalized",
              [&] { return api.graphCreate(context, "other", nullptr, &other); });
  report.code("graphRetrieve after finalize",
              [&] { return api.graphRetrieve(context, "add", &other); });
  report.word("retrieved handle equals created", other == add.graph ? "yes" : "no");
}

void lists(Report& report, Executions& run) {
  const AddGraph& add = run.add;
  run.changed("null graph", [&] { run.graph = nullptr; });
  const auto with = [&](const char* what, bool null_inputs, std::uint32_t inputs,
                        bool null_outputs, std::uint32_t outputs) {
    report.code(text("execute(%s)", what), [&] {
      Qnn_Tensor_t out = add.out;
      return add.api.graphExecute(add.graph, null_inputs ? nullptr : add.in.data(), inputs,
                                  null_outputs ? nullptr : &out, outputs, nullptr, nullptr);
    });
  };
  with("null inputs,0", true, 0, false, 1);
  with("null inputs,2", true, 2, false, 1);
  run.changed("1 of 2 inputs", [&] { run.inputs.pop_back(); });
  run.changed("3 inputs, duplicate", [&] { run.inputs.push_back(run.inputs[0]); });
  run.changed("0 outputs", [&] { run.outputs.clear(); });
  with("null outputs,0", false, 2, true, 0);
  with("null outputs,1", false, 2, true, 1);
  run.changed("2 outputs, duplicate", [&] { run.outputs.push_back(run.outputs[0]); });
  run.seen("inputs in swapped order", [&] { std::swap(run.inputs[0], run.inputs[1]); });
}

void fields_of_inputs(Executions& run) {
  const auto input = [&]() -> Qnn_TensorV1_t& { return run.inputs[0].v1; };
  run.changed("input data null", [&] { input().clientBuf.data = nullptr; });
  run.changed("input dataSize half", [&] { input().clientBuf.dataSize /= 2; });
  run.changed("input dataSize 0", [&] { input().clientBuf.dataSize = 0; });
  run.changed("input dataSize double, not backed", [&] { input().clientBuf.dataSize *= 2; });
  run.changed("memType UNDEFINED", [&] { input().memType = QNN_TENSORMEMTYPE_UNDEFINED; });
  run.changed("wrong id", [&] { input().id = 4242; });
  run.seen("wrong name right id", [&] { input().name = "nonsense"; });
  run.changed("id 0 right name", [&] { input().id = 0; });
  run.seen("null name right id", [&] { input().name = nullptr; });
  run.changed("dataType changed", [&] { input().dataType = QNN_DATATYPE_FLOAT_32; });
  std::uint32_t smaller[] = {1, 4, 4, 32};
  run.changed("dims changed smaller", [&] { input().dimensions = smaller; });
  run.changed("rank changed", [&] { input().rank = 2; });
  run.changed("dims null", [&] { input().dimensions = nullptr; });
  run.changed("type changed to NATIVE", [&] { input().type = QNN_TENSOR_TYPE_NATIVE; });
}

void fields_of_outputs(Executions& run) {
  const auto output = [&]() -> Qnn_TensorV1_t& { return run.outputs[0].v1; };
  run.changed("output data null", [&] { output().clientBuf.data = nullptr; });
  run.changed("output dataSize half", [&] { output().clientBuf.dataSize /= 2; });
  run.changed("output dataSize 0", [&] { output().clientBuf.dataSize = 0; });
  run.changed("output memHandle null", [&] {
    output().memType = QNN_TENSORMEMTYPE_MEMHANDLE;
    output().memHandle = nullptr;
  });
  run.changed("input given as output", [&] { run.outputs[0] = run.inputs[0]; });
  run.seen("V2 tensors for V1 graph", [&] {
    for (std::vector<Qnn_Tensor_t>* list : {&run.inputs, &run.outputs}) {
      for (Qnn_Tensor_t& tensor : *list) {
        tensor.version = QNN_TENSOR_VERSION_2;
        tensor.v2.isDynamicDimensions = nullptr;
        tensor.v2.sparseParams = QNN_SPARSE_PARAMS_INIT;
        tensor.v2.isProduced = 0;
      }
    }
  });
}

void exec(Report& report, const Backend& backend, std::uint32_t) {
  Executions run(report, backend);
  states(report, run);
  lists(report, run);
  fields_of_inputs(run);
  fields_of_outputs(run);
  report.code("contextFree", [&] { return run.add.api.contextFree(run.client.context, nullptr); });
}

void bogus_graph(Report& report, const Backend& backend, std::uint32_t) {
  Executions run(report, backend);
  run.add.build_and_finalize(run.client.context);
  run.changed("bogus graph", [&] { run.graph = reinterpret_cast<void*>(0x1234); });
}

void bogus_profile(Report& report, const Backend& backend, std::uint32_t) {
  Executions run(report, backend);
  run.add.build_and_finalize(run.client.context);
  const auto bogus = reinterpret_cast<void*>(0x1234);
  report.code("execute(bogus profile)", [&] { return run.add.execute(bogus, nullptr); });
  report.code("execute(bogus signal)", [&] { return run.add.execute(nullptr, bogus); });
}

void no_ids(Report& report, const Backend& backend, std::uint32_t) {
  Executions run(report, backend);
  run.add.build_and_finalize(run.client.context);
  run.seen("all tensors by name, ids 0", [&] {
    run.inputs[0].v1.id = 0;
    run.inputs[1].v1.id = 0;
    run.outputs[0].v1.id = 0;
  });
}

void free_during(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  AddGraph add(client.api);
  add.build_and_finalize(client.context);
  std::atomic<int> executed{0};
  Qnn_ErrorHandle_t last = QNN_SUCCESS;
  std::thread other([&] {
    do {
      last = add.execute();
      ++executed;
    } while (last == QNN_SUCCESS);
  });
  while (executed < 3) {
    std::this_thread::yield();
  }
  report.code("contextFree while another thread executes in a loop",
              [&] { return client.api.contextFree(client.context, nullptr); });
  other.join();
  report.code("code seen by the executing thread afterwards", [&] { return last; });
}

}  // namespace

Scenarios execute_scenarios() {
  return {{"exec", exec},
          {"exec.bogusgraph", bogus_graph},
          {"exec.bogusprofile", bogus_profile},
          {"exec.noid", no_ids},
          {"exec.freeduring", free_during}};
}
