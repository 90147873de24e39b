"""Draws docs/benchmarks.svg: the time per call of each supervisor, and the grid of targets and workers."""

from math import log10
from xml.sax.saxutils import escape

from harness.cases import TARGETS, WORKERS, naive_settings
from harness.measure import Results

WIDTH, LEFT, RIGHT = 760, 210, 70
ROW, HEAD = 26, 46
OURS, THEIRS, FAINT, INK = "#1b7f5c", "#8793a5", "#e3e7ec", "#22272e"


class Axis:
    """A logarithmic scale over whole decades, from values in nanoseconds to places across."""

    def __init__(self, low: float, high: float) -> None:
        self.first = int(log10(low) // 1)
        self.last = max(int(-(-log10(high) // 1)), self.first + 1)

    def x(self, ns: float) -> float:
        part = (log10(ns) - self.first) / (self.last - self.first)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def lines(self, top: float, bottom: float) -> list[str]:
        drawn = []
        for power in range(self.first, self.last + 1):
            x = self.x(10.0**power)
            drawn.append(f'<path d="M{x:.1f} {top}V{bottom}" stroke="{FAINT}"/>')
            drawn.append(text(x, bottom + 16, time(10.0**power, digits=0), "middle"))
        return drawn


def time(ns: float, digits: int = 2) -> str:
    if ns < 1e3:
        return f"{ns:.0f} ns"
    return f"{ns / 1e3:.{digits}f} µs" if ns < 1e6 else f"{ns / 1e6:.{digits}f} ms"


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
    )


def bars(results: Results, rows: list[tuple[str, str]], top: float) -> tuple[list[str], float]:
    """One bar a row, with its quartiles; gives the drawing and where it ends."""
    known = [(label, name, s) for label, name in rows if (s := results.summary(name))]
    if not known:
        return [], top
    axis = Axis(min(s.low for _, _, s in known), max(s.high for _, _, s in known))
    bottom = top + HEAD + ROW * len(known)
    drawn = [text(12, top + 24, "Time of one supervised getppid, one target", weight="bold")]
    drawn += axis.lines(top + HEAD - 8, bottom)
    for i, (label, name, s) in enumerate(known):
        y = top + HEAD + i * ROW
        fill = OURS if label.startswith("libunotify") else THEIRS
        end = axis.x(s.median)
        drawn.append(text(LEFT - 10, y + 12, label, "end"))
        drawn.append(f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="16" fill="{fill}"/>')
        drawn.append(f'<path d="M{axis.x(s.low):.1f} {y + 8}H{axis.x(s.high):.1f}" stroke="{INK}"/>')
        drawn.append(text(max(end, axis.x(s.high)) + 6, y + 12, time(s.median)))
    return drawn, bottom + 30


def grid(results: Results, top: float) -> tuple[list[str], float]:
    """A line from the best to the worst hand-written loop at each point, and libunotify as a dot."""
    rows = []
    for processes in TARGETS:
        for workers in WORKERS:
            point = f"{processes}x{workers}"
            settings = [f"grid/{k}-{w}/{point}" for k, w in naive_settings(workers)]
            naive = [m for name in settings if (m := results.median(name)) is not None]
            if naive:
                rows.append((processes, workers, naive, results.median(f"grid/unotify/{point}")))
    if not rows:
        return [], top
    every = [ns for _, _, naive, ours in rows for ns in (*naive, *([ours] if ours else []))]
    axis = Axis(min(every), max(every))
    bottom = top + HEAD + ROW * len(rows)
    title = "Time per call of all targets: libunotify as it comes (dot) and the hand-written loops (lines)"
    drawn = [text(12, top + 24, title, weight="bold")]
    drawn += axis.lines(top + HEAD - 8, bottom)
    for i, (processes, workers, naive, ours) in enumerate(rows):
        y = top + HEAD + i * ROW + 8
        label = f"{processes} target{'s'[: processes > 1]}, {workers} worker{'s'[: workers > 1]}"
        drawn.append(text(LEFT - 10, y + 4, label, "end"))
        span = f"M{axis.x(min(naive)):.1f} {y}H{axis.x(max(naive)):.1f}"
        drawn.append(f'<path d="{span}" stroke="{THEIRS}" stroke-width="2"/>')
        drawn += [
            f'<path d="M{axis.x(ns):.1f} {y - 5}v10" stroke="{THEIRS}" stroke-width="2"/>' for ns in naive
        ]
        if ours:
            drawn.append(f'<circle cx="{axis.x(ours):.1f}" cy="{y}" r="5" fill="{OURS}"/>')
    return drawn, bottom + 30


def svg(results: Results, rows: list[tuple[str, str]]) -> str:
    first, middle = bars(results, rows, 0)
    second, height = grid(results, middle)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">'
    )
    paper = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    return "\n".join([head, paper, *first, *second, "</svg>"]) + "\n"
