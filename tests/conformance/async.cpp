// SPDX-License-Identifier: Apache-2.0 OR MIT
// Asynchronous execution, and several threads at once.

#include <atomic>
#include <thread>

#include "client.hpp"
#include "scenarios.hpp"

namespace {

/** What a client hears; every execution has its own. */
struct Heard {
  std::atomic<int> count{0};
  std::atomic<int> failed{0};
  std::atomic<Qnn_ErrorHandle_t> error{0};
  std::vector<std::uint32_t> order;    // on the completion thread only
};

struct Call {
  Heard* heard;
  std::uint32_t number;
};

/** An execution that the client itself ended by freeing the context did not fail. */
void on_done(void* param, Qnn_NotifyStatus_t status) {
  const Call& call = *static_cast<Call*>(param);
  Heard& heard = *call.heard;
  heard.order.push_back(call.number);
  if (status.error != QNN_SUCCESS && status.error != QNN_GRAPH_ERROR_ABORTED) {
    heard.error = status.error;
    ++heard.failed;
  }
  ++heard.count;
}

Qnn_ErrorHandle_t execute_async(AddGraph& add, Call* call) {
  add.bind();
  return add.api.graphExecuteAsync(add.graph, add.in.data(), 2, &add.out, 1, nullptr, nullptr,
                                   on_done, call);
}

/** Waits until everything accepted was heard; a scenario that hangs is ended from outside. */
void wait_for(const Heard& heard, int accepted) {
  while (heard.count < accepted) {
    std::this_thread::yield();
  }
}

/** Queues `count` executions and gives how many were accepted. */
int queue(AddGraph& add, std::vector<Call>& calls, Heard& heard, std::uint32_t count) {
  calls.resize(count);
  int accepted = 0;
  for (std::uint32_t number = 0; number < count; ++number) {
    calls[number] = {&heard, number};
    accepted += execute_async(add, &calls[number]) == QNN_SUCCESS ? 1 : 0;
  }
  return accepted;
}

void async(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  Heard one;
  Call call = {&one, 0};
  const Qnn_ErrorHandle_t code =
      report.code("executeAsync(cb)", [&] { return execute_async(add, &call); });
  wait_for(one, code == QNN_SUCCESS ? 1 : 0);
  report.word("callbacks received",
              text("%d err=%llu out=%d", one.count.load(),
                   static_cast<unsigned long long>(one.error.load()), add.y[0]));
  report.code("executeAsync(null cb)", [&] {
    return api.graphExecuteAsync(add.graph, add.in.data(), 2, &add.out, 1, nullptr, nullptr,
                                 nullptr, nullptr);
  });
  Heard many;
  std::vector<Call> calls;
  const int accepted = queue(add, calls, many, 50);
  wait_for(many, accepted);
  report.word("50 queued executeAsync: failures, callbacks",
              text("%d, %d", 50 - accepted + many.failed, many.count.load()));
  report.code("executeAsync(0 inputs)", [&] {
    return api.graphExecuteAsync(add.graph, nullptr, 0, &add.out, 1, nullptr, nullptr, on_done,
                                 &call);
  });
  report.code("executeAsync(null graph)", [&] {
    return api.graphExecuteAsync(nullptr, add.in.data(), 2, &add.out, 1, nullptr, nullptr, on_done,
                                 &call);
  });
  AddGraph unfinished(api);
  unfinished.build(client.context, "unfinished");
  report.code("executeAsync before finalize", [&] { return execute_async(unfinished, &call); });
  report.code("contextFree", [&] { return api.contextFree(client.context, nullptr); });
}

const char* nothing_queued(int accepted, const char* why) { return accepted == 0 ? why : ""; }

void free_while(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  AddGraph add(client.api);
  add.build_and_finalize(client.context);
  Heard heard;
  std::vector<Call> calls;
  const int accepted = queue(add, calls, heard, 200);
  report.code(
      "contextFree with async work queued",
      [&] { return client.api.contextFree(client.context, nullptr); },
      [&] {
        return nothing_queued(accepted, "(no work was queued (executeAsync returns 1000))");
      });
  report.word("callbacks after contextFree (200 queued)", heard.count == 200 ? "all" : "fewer");
  report.word("any callback error", heard.failed > 0 ? "yes" : "no");
}

void in_order(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  AddGraph add(client.api);
  add.build_and_finalize(client.context);
  Heard heard;
  std::vector<Call> calls;
  const int accepted = queue(add, calls, heard, 40);
  wait_for(heard, accepted);
  bool ordered = true;
  for (std::size_t index = 0; index < heard.order.size(); ++index) {
    ordered &= heard.order[index] == index;
  }
  report.word("40 async callbacks in submission order", ordered ? "yes" : "no",
              nothing_queued(
                  accepted,
                  "(void: every executeAsync call returned 1000, so nothing was queued)"));
}

/** Runs `work` on two threads; gives how often it failed. */
template <typename Work>
int on_two_threads(Work work) {
  std::atomic<int> failures{0};
  std::thread other([&] { failures += work(1); });
  failures += work(0);
  other.join();
  return failures;
}

int execute_often(AddGraph& add) {
  int failures = 0;
  for (int count = 0; count < 300; ++count) {
    failures += add.execute() == QNN_SUCCESS && add.y[0] == 30 ? 0 : 1;
  }
  return failures;
}

void concurrent(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph first(api);
  AddGraph second(api);
  first.build_and_finalize(client.context, "first");
  second.build_and_finalize(client.context, "second");
  int failures =
      on_two_threads([&](int thread) { return execute_often(thread == 0 ? first : second); });
  report.word("2 threads, 2 graphs x300 executes: failures", std::to_string(failures));
  AddGraph again = first;
  failures = on_two_threads([&](int thread) { return execute_often(thread == 0 ? first : again); });
  report.word("2 threads, same graph x300 executes: failures", std::to_string(failures));
  failures = on_two_threads([&](int) {
    int failed = 0;
    for (int count = 0; count < 50; ++count) {
      Qnn_ContextHandle_t made = nullptr;
      const Qnn_ErrorHandle_t code =
          api.contextCreate(client.backend, client.device, nullptr, &made);
      failed += code == QNN_SUCCESS && api.contextFree(made, nullptr) == QNN_SUCCESS ? 0 : 1;
    }
    return failed;
  });
  report.word("2 threads context create/free x50: failures", std::to_string(failures));
}

}  // namespace

Scenarios async_scenarios() {
  return {{"async", async},
          {"async.freewhile", free_while},
          {"async.order", in_order},
          {"concurrent", concurrent}};
}
