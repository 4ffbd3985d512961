"""How long ONNX Runtime takes for one crop of a package's network: JSON lines, in the fields of `bench_model`.

    python onnx_runtime.py --network PACKAGE/l-cc.onnx [--repeat 5] [--threads 1 2]

Needs `onnxruntime` and `numpy`. The input is noise of mean 0 and deviation 1, as a normalised crop is; nothing in the network
takes longer for one input than for another.
"""

import argparse
import json
import statistics
import time

import numpy
import onnxruntime


def session(network, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def peak_megabytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    sessions = {threads: session(arguments.network, threads) for threads in arguments.threads}
    described = next(iter(sessions.values())).get_inputs()[0]
    image = numpy.random.default_rng(0).standard_normal(described.shape, dtype=numpy.float32)
    times = {threads: [] for threads in sessions}
    # One after the other, so that a machine that slows down slows all of them.
    for _ in range(arguments.repeat + 1):
        for threads, running in sessions.items():
            start = time.perf_counter()
            running.run(None, {described.name: image})
            times[threads].append((time.perf_counter() - start) * 1000)
    version = f"onnxruntime {onnxruntime.__version__}"
    for threads, taken in times.items():
        # The first run warms up.
        median = statistics.median(taken[1:])
        print(json.dumps({"engine": version, "what": "crop", "threads": threads, "ms": median}))
    print(json.dumps({"engine": version, "what": "peak", "threads": max(sessions), "mb": peak_megabytes()}))


if __name__ == "__main__":
    main()
