"""Reads the benches' JSON lines and prints a table: each figure's median, and its ratio to ONNX Runtime's where there is one."""

import json
import statistics
import sys

ROWS = [
    # Title, what, threads, unit, target.
    ("decode 8.5 megapixels", "decode", None, "ms", None),
    ("prepare (crop, centre)", "prepare", None, "ms", "decode and prepare: 150 ms"),
    ("render one crop with noise", "render, noisy", None, "ms", None),
    ("one crop, 1 thread", "crop", 1, "ms", "3 x ONNX Runtime"),
    ("ten crops of one image, all cores", "ten crops", None, "ms", None),
    ("verify an attestation document", "verify a document", None, "ms", "5 ms"),
    ("one-crop request, end to end", "one-crop request", None, "ms", None),
    ("ten-crop request, end to end", "ten-crop request", None, "ms", "5000 ms on two cores"),
    ("enclave: start to verified and ready", "start to ready", None, "ms", None),
    ("enclave: most memory", "enclave's peak memory", None, "mb", "700 MB"),
    ("parent: most memory", "parent's peak memory", None, "mb", None),
    ("relay, one connection", "relay throughput", None, "mb_per_s", None),
]
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
        if what == "crop" and value and reference[1]:
            ratio = f"{value / reference[1]:.2f}"
        if what == "ten crops" and value and reference[2]:
            ratio = f"{value / 10 / reference[2]:.2f} a crop"
        shown = "not measured" if value is None else f"{value:.{1 if value < 10 else 0}f} {UNITS[unit]}"
        print(f"| {title} | {shown} | {ratio} | {target or ''} |")


if __name__ == "__main__":
    main()
