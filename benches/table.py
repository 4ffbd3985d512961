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


def rounds(figures):
    """The figures of each round, which begins with ONNX Runtime's first one."""
    of_rounds = [[]]
    for figure in figures:
        if figure.get("engine", "").startswith("onnxruntime") and (figure["what"], figure.get("threads")) == ("crop", 1):
            of_rounds.append([])
        of_rounds[-1].append(figure)
    return of_rounds[1:]


def ratio(figures, what, threads, to):
    """The median over the rounds of what was measured to what is compared with it: machines drift, and neighbours in time drift least."""
    pairs = ((median(part, "ms", what, threads), to(part)) for part in rounds(figures))
    ratios = [part / whole for part, whole in pairs if part and whole]
    return statistics.median(ratios) if ratios else None


def main():
    figures = [json.loads(line) for line in sys.stdin]
    print("| what | measured | x ONNX Runtime | to reach |")
    print("|---|---|---|---|")
    for threads in (1, 2):
        value = median(figures, "ms", "crop", threads, "onnxruntime")
        if value is not None:
            print(f"| ONNX Runtime, one crop, {threads} thread(s) | {value:.0f} ms | 1 | |")
    for title, what, threads, unit, target in ROWS:
        value = median(figures, unit, what, threads)
        compared, of = None, ""
        if what in COMPARED:
            beside = COMPARED[what] or threads
            compared = ratio(figures, what, threads, lambda part: median(part, "ms", "crop", beside, "onnxruntime"))
        elif what == "ten crops":
            compared, of = ratio(figures, what, threads, lambda part: median(part, "ms", "crop", 1)), " x one crop"
        compared = "" if compared is None else f"{compared:.2f}{of}"
        shown = "not measured" if value is None else f"{value:.{1 if value < 10 else 0}f} {UNITS[unit]}"
        print(f"| {title} | {shown} | {compared} | {target or ''} |")


if __name__ == "__main__":
    main()
