"""Sessions on a QNN backend, and child processes to run them in."""

import multiprocessing
import os
import signal
import tempfile
import traceback
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn

PROVIDER = "QNNExecutionProvider"
# A processor for cars that both backends know: SA8255P, Hexagon V73.
TARGET = {"soc_model": "52", "htp_arch": "73"}

FORK = multiprocessing.get_context("fork")


def vendor_library():
    """The backend inside the wheel."""
    return onnxruntime_qnn.get_qnn_htp_path()


def session(model, backend, config=None, **options):
    """A session whose every node runs on `backend`. `model` is bytes or a path."""
    if PROVIDER not in {device.ep_name for device in ort.get_ep_devices()}:
        ort.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for key, value in (config or {}).items():
        settings.add_session_config_entry(key, value)
    every = {"backend_path": backend} | TARGET | options
    settings.add_provider_for_devices(devices[:1], every)
    return ort.InferenceSession(model, settings)


@dataclass
class Ended:
    """How a child ended: with a value, or with words about why there is none."""

    value: object = None
    failure: str = ""
    crashed: bool = False
    log: str = ""


def in_child(work, limit):
    """Runs `work` in a forked child for at most `limit` seconds."""
    receive, send = FORK.Pipe(duplex=False)
    with tempfile.TemporaryFile() as log:
        child = FORK.Process(target=_child, args=(work, send, log.fileno()))
        child.start()
        send.close()
        answer = None
        try:
            if receive.poll(limit):
                answer = receive.recv()
        except EOFError:
            pass
        child.join(limit if answer else 0.5)
        hung = child.is_alive()
        if hung:
            child.kill()
            child.join()
        log.seek(0)
        text = log.read().decode(errors="replace")
    if hung:
        return Ended(failure=f"no end after {limit} s", crashed=True, log=text)
    if child.exitcode or answer is None:
        return Ended(failure=f"crash: {_how(child.exitcode)}", crashed=True, log=text)
    value, failure = answer
    return Ended(value, failure, log=text)


def _child(work, send, log):
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        answer = (work(), "")
    except Exception as error:  # whatever it is, the parent shall know
        traceback.print_exc()
        answer = (None, f"{error}".strip() or repr(error))
    send.send(answer)


def _how(code):
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def run_every_feed(model, backend, **options):
    """Results of `model` on `backend`, for each of its feeds."""
    made = session(model.proto, backend, **options)
    return [[np.asarray(result) for result in made.run(model.outputs, feed)]
            for feed in model.feeds]


def run_on_backend(model, backend):
    """Results of `model` on `backend`, for its first feed."""
    return session(model.proto, backend).run(model.outputs, model.feed)
