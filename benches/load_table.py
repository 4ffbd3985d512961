"""Reads JSON lines of bench_load, and prints a table: what was measured under load beside what is to be reached."""

import json
import statistics
import sys


def main():
    figures = [json.loads(line) for line in sys.stdin]

    def median(what, unit):
        fits = [f[unit] for f in figures if f["what"] == what and unit in f]
        return statistics.median(fits) if fits else None

    def row(title, value, unit, target=""):
        shown = "not measured" if value is None else f"{value:.{0 if value >= 100 else 2}f} {unit}"
        print(f"| {title} | {shown} | {target} |")

    def of(part, whole):
        return None if part is None or not whole else part / whole

    def rounds(count, ratio):
        """The median of a ratio over the rounds, each of which has its own crops without a server, and its range."""
        values = [ratio(f) for f in figures if f["what"] == f"saturation of {count}"]
        return (statistics.median(values), f"{min(values):.2f} to {max(values):.2f}") if values else (None, "")

    def row_of(title, count, ratio, target):
        middle, spread = rounds(count, ratio)
        row(title, middle, f"x ({spread})", target)

    cores, unloaded = median("cores", "count"), median("unloaded p50 of 10", "ms")
    print("| what | measured | to reach |")
    print("|---|---|---|")
    row("one crop, 1 thread, without a server", rounds(32, lambda f: f["alone"])[0], "ms")
    row("one crop while all cores compute others, without a server", rounds(32, lambda f: f["beside"])[0], "ms")
    row("ten-crop request, one at a time: p50", unloaded, "ms")
    for count in (32, 10):
        row(f"crops at saturation, {count} a request", rounds(count, lambda f: f["per_s"])[0], "/s")
        for title, whole in (("the same / (cores / time of one crop)", "alone"), ("the same, of one while all cores compute others", "beside")):
            row_of(title, count, lambda f: f["per_s"] * f[whole] / (cores * 1000), "at least 0.95")
        row("processor time of the enclave, a crop", rounds(count, lambda f: f["spent"])[0], "ms")
        row_of("the same / time of one crop", count, lambda f: f["spent"] / f["alone"], "at most 1.05")
    for arrivals in ("constant", "poisson"):
        load = f"70 % of saturation, {arrivals} arrivals"
        p99 = median(f"{arrivals} p99", "ms")
        row(f"{load}: p50", median(f"{arrivals} p50", "ms"), "ms")
        row(f"{load}: p99 of {median(f'{arrivals} answered', 'count') or 0:.0f}", p99, "ms")
        row(f"{load}: p99 / p50 of one at a time", of(p99, unloaded), "x", "under 2")
        row(f"{load}: not answered", median(f"{arrivals} not answered", "count"), "requests", "0")
    early, late = median("memory early", "mb"), median("memory late", "mb")
    row("small network, requests at saturation", median("small saturation", "per_s"), "/s")
    row(f"enclave's memory in the first quarter of {median('small requests', 'count') or 0:.0f} requests", early, "MB")
    row("in the last quarter", late, "MB", "flat")
    row("the most while they ran", median("most memory", "mb"), "MB")
    many = median("small requests", "count")
    # From the middle of the first quarter to that of the last, three quarters of them.
    grown = None if early is None or late is None or not many else (late - early) / (0.75 * many / 1000)
    row("grown by, each thousand requests", grown, "MB", "0")


if __name__ == "__main__":
    main()
