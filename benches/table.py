"""Reads the benches' JSON lines and prints a table: each figure's median, and its ratio to ONNX Runtime's where there is one."""

import json
import statistics
import sys

ROWS = [
    # Title, what, threads, unit, target.
    ("decode 8.5 megapixels", "decode", None, "ms", None),
    ("prepare (crop, centre)", "prepare", None, "ms", "decode and prepare: 150 ms"),
    ("render one crop with noise", "render, noisy", None, "ms", None),
    ("network, one crop, 1 thread", "network", 1, "ms", "0.5 x ONNX Runtime"),
    ("network, one crop, rows on 2 threads", "network", 2, "ms", "0.5 x ONNX Runtime"),
    ("network, two crops on 2 threads, a crop", "network, two at once", 2, "ms", "0.5 x ONNX Runtime"),
    ("one crop with its preparation, 1 thread", "crop", 1, "ms", None),
    ("ten crops of one file, all cores", "ten crops", None, "ms", "5.5 x one crop on two cores"),
    ("verify an attestation document", "verify a document", None, "ms", "5 ms"),
    ("one-crop request, end to end", "one-crop request", None, "ms", None),
    ("ten-crop request, end to end", "ten-crop request", None, "ms", None),
    ("enclave: start to verified and ready", "start to ready", None, "ms", None),
    ("enclave: most memory", "enclave's peak memory", None, "mb", "250 MB"),
    ("parent: most memory", "parent's peak memory", None, "mb", None),
    ("relay, one connection", "relay throughput", None, "mb_per_s", None),
]
# What is compared with ONNX Runtime on how many threads; none: on as many.
COMPARED = {"network": None, "network, two at once": 2, "crop": 1}
UNITS = {"ms": "ms", "mb": "MB", "mb_per_s": "MB/s"}


def median(figures, unit, what, threads=None, engine=None):
    def fits(figure):
        of_engine = figure.get("engine", "tract").startswith(engine or "tract")
        return of_engine and figure["what"] == what and threads in (None, figure.get("threads")) and unit in figure

    values = [figure[unit] for figure in figures if fits(figure)]
    return statistics.median(values) if values else None


def main():
    figures = [json.loads(line) for line in sys.stdin]
    reference = {n: median(figures, "ms", "crop", n, "onnxruntime") for n in (1, 2)}
    print("| what | measured | x ONNX Runtime | to reach |")
    print("|---|---|---|---|")
    for threads, value in reference.items():
        if value is not None:
            print(f"| ONNX Runtime, one crop, {threads} thread(s) | {value:.0f} ms | 1 | |")
    for title, what, threads, unit, target in ROWS:
        value = median(figures, unit, what, threads)
        ratio = ""
        if what in COMPARED and value and reference[COMPARED[what] or threads]:
            ratio = f"{value / reference[COMPARED[what] or threads]:.2f}"
        crop = median(figures, "ms", "crop", 1)
        if what == "ten crops" and value and crop:
            ratio = f"{value / crop:.2f} x one crop"
        shown = "not measured" if value is None else f"{value:.{1 if value < 10 else 0}f} {UNITS[unit]}"
        print(f"| {title} | {shown} | {ratio} | {target or ''} |")


if __name__ == "__main__":
    main()
