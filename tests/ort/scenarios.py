"""What a client does with several sessions, with context caches, and when it exits."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

import client
import models

ALL = {}
RUNS_PER_THREAD = 25
SESSIONS_IN_TURN = 20


def scenario(play):
    """Registers a scenario under the name of its function."""
    ALL[play.__name__] = play
    return play


def play(name, backend, limit):
    """Plays one scenario in a child; empty if all went as it must."""
    ended = client.in_child(lambda: ALL[name](backend), limit)
    return ended.failure


def make(name):
    """A model of the catalogue."""
    return models.catalogue()[name]()


def expect_same(results, expected, what):
    """Fails unless the results are the same bytes."""
    for one, other in zip(results, expected, strict=True):
        assert np.array_equal(one, other), f"{what}: the results differ"


def in_threads(threads):
    """Runs threads to their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@scenario
def two_sessions_at_once(backend):
    """Two sessions live together; the one that is left goes on when the other has gone."""
    left, right = make("mobile_net-u8"), make("keyword_spotting-u8")
    alone = client.run_on_backend(left, backend)
    first, second = client.session(left.proto, backend), client.session(right.proto, backend)
    expected = second.run(right.outputs, right.feed)
    expect_same(first.run(left.outputs, left.feed), alone, "beside another session")
    del first
    expect_same(second.run(right.outputs, right.feed), expected, "after the other session")
    del second
    expect_same(client.run_on_backend(left, backend), alone, "in a new session")


@scenario
def sessions_one_after_another(backend):
    """The client unloads the library with every session; nothing of ours may still run then."""
    model = make("gemm-u8")
    expected = client.run_on_backend(model, backend)
    for _ in range(SESSIONS_IN_TURN):
        expect_same(client.run_on_backend(model, backend), expected, "in a later session")


@scenario
def four_threads_on_two_sessions(backend):
    """Each session is used by two threads at once."""
    chosen = [make("res_net-u8"), make("mlp-u16")]
    sessions = [client.session(model.proto, backend) for model in chosen]
    expected = [one.run(model.outputs, model.feed) for one, model in zip(sessions, chosen)]
    failures = []

    def work(index):
        try:
            for _ in range(RUNS_PER_THREAD):
                results = sessions[index].run(chosen[index].outputs, chosen[index].feed)
                expect_same(results, expected[index], f"session {index}")
        except Exception as error:  # a thread cannot raise to its caller
            failures.append(error)

    in_threads([threading.Thread(target=work, args=(number % 2,)) for number in range(4)])
    if failures:
        raise failures[0]


def context_cache(backend, embed):
    """A context cache is written, and loaded in a new session with the same results."""
    model = make("u_net-u8")
    with tempfile.TemporaryDirectory() as folder:
        source, cache = Path(folder) / "net.onnx", Path(folder) / "net_ctx.onnx"
        source.write_bytes(model.proto)
        config = {"ep.context_enable": "1", "ep.context_file_path": str(cache),
                  "ep.context_embed_mode": embed}
        writer = client.session(str(source), backend, config)
        expected = writer.run(model.outputs, model.feed)
        del writer
        assert cache.stat().st_size > 0, "no context cache was written"
        reader = client.session(str(cache), backend)
        expect_same(reader.run(model.outputs, model.feed), expected, "from the cache")


@scenario
def context_cache_beside_the_model(backend):
    """The cache is a file of its own."""
    context_cache(backend, "0")


@scenario
def context_cache_inside_the_model(backend):
    """The cache is part of the model."""
    context_cache(backend, "1")


def profiled(backend, level):
    """A session that is measured gives the same results, and says what was measured."""
    model = make("conv-u8")
    expected = client.run_on_backend(model, backend)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # a backend may leave files of its own
        table = Path(folder) / "profile.csv"
        measured = client.session(model.proto, backend, profiling_level=level,
                                  profiling_file_path=str(table))
        for _ in range(3):
            expect_same(measured.run(model.outputs, model.feed), expected, "while measured")
        del measured
        lines = table.read_text().splitlines()
        for call, count in (("FINALIZE", 1), ("EXECUTE", 3)):
            found = [line for line in lines if line.split(",")[1] == call]
            assert len(found) == count, f"{len(found)} lines of {call}, not {count}"
        log = Path(folder) / "profile_qnn.log"
        assert log.stat().st_size > 0, "the system library wrote no log"


@scenario
def profiling_level_basic(backend):
    """Times of the calls."""
    profiled(backend, "basic")


@scenario
def profiling_level_detailed(backend):
    """Times of their parts as well."""
    profiled(backend, "detailed")


@scenario
def profiling_level_optrace(backend):
    """A backend without operation traces says so: the session is refused in words."""
    model = make("conv-u8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            client.session(model.proto, backend, profiling_level="optrace",
                           profiling_file_path=str(Path(folder) / "profile.csv"))
        except Exception as error:  # the client has classes of its own
            assert str(error), "refused without a word"
            return
    profiled(backend, "optrace")


@scenario
def sessions_made_by_two_threads(backend):
    """Sessions may be made and used at the same time."""
    chosen = [make("res_net-u8"), make("mlp-u16")]
    expected = [client.run_on_backend(model, backend) for model in chosen]
    failures = []

    def work(model, results):
        try:
            for _ in range(5):
                expect_same(client.run_on_backend(model, backend), results, model.name)
        except Exception as error:  # a thread cannot raise to its caller
            failures.append(error)

    in_threads([threading.Thread(target=work, args=pair) for pair in zip(chosen, expected)])
    if failures:
        raise failures[0]


@scenario
def exit_with_a_session_alive(backend):
    """A process that ends while a session lives ends with code 0."""
    exit_of(backend, "keep")


@scenario
def exit_after_the_last_session(backend):
    """A process that ends after its last session ends with code 0."""
    exit_of(backend, "drop")


def exit_of(backend, manner):
    """Runs `main` below in a fresh interpreter, through its whole exit."""
    command = [sys.executable, os.path.abspath(__file__), backend, manner]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    words = (ended.stdout + ended.stderr).strip()
    assert ended.returncode == 0, f"exit code {ended.returncode}: {words[-300:]}"
    assert ended.stdout.endswith("ran\n"), f"the model did not run: {words[-300:]}"


def main(backend, manner):
    """A process with two sessions that have run."""
    model = make("conv-u8")
    kept = [client.session(model.proto, backend) for _ in range(2)]
    for one in kept:
        one.run(model.outputs, model.feed)
    if manner == "keep":
        sys.kept = kept  # outlives this module
    del kept, one
    print("ran")


if __name__ == "__main__":
    main(*sys.argv[1:])
