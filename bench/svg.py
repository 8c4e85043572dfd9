# SPDX-License-Identifier: Apache-2.0

"""Plots as SVG, without any library: enough for what bench/ has to show.

Colours are told apart by people who see few of them, every mark has a shape
as well, and the background is white, so that a plot reads in dark pages too.
"""

import math
from xml.sax.saxutils import escape

COLOURS = ["#0b6e4f", "#2ca58d", "#6c757d", "#d1495b", "#8e6c8a", "#e08d3c"]
SHAPES = ["circle", "square", "bar", "diamond", "triangle", "cross"]
ORDER = ["weir, 1 worker", "weir, 2 workers", "limit", "mosquitto", "nats-server"]
FONT = "font-family='DejaVu Sans, Verdana, Arial, sans-serif'"


def style(name):
    """A broker looks alike in all plots."""
    return ORDER.index(name) if name in ORDER else len(ORDER)


class Page:
    def __init__(self, width, height, title, note=""):
        self.width, self.height = width, height
        self.parts = []
        self.text(20, 28, title, size=17, weight="bold")
        if note:
            self.text(20, 47, note, size=12, colour="#555")

    def add(self, text, *arguments):
        self.parts.append(text % arguments if arguments else text)

    def text(
        self, x, y, words, size=12, anchor="start", colour="#222", weight="normal"
    ):
        self.add(
            "<text x='%.1f' y='%.1f' font-size='%d' text-anchor='%s' fill='%s' "
            "font-weight='%s'>%s</text>",
            *(x, y, size, anchor, colour, weight, escape(words)),
        )

    def line(self, x1, y1, x2, y2, colour="#ddd", width=1.0, dashes=""):
        self.add(
            "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' "
            "stroke-width='%.1f'%s/>",
            *(x1, y1, x2, y2, colour, width),
            " stroke-dasharray='%s'" % dashes if dashes else "",
        )

    def path(self, points, colour, width=2.0):
        self.add(
            "<polyline points='%s' fill='none' stroke='%s' stroke-width='%.1f'/>",
            *(" ".join("%.1f,%.1f" % p for p in points), colour, width),
        )

    def box(self, x, y, width, height, colour):
        self.add(
            "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>",
            *(x, y, width, height, colour),
        )

    def mark(self, x, y, number, r=5.0):
        colour = COLOURS[number % len(COLOURS)]
        shape = SHAPES[number % len(SHAPES)]
        if shape == "circle":
            self.add(
                "<circle cx='%.1f' cy='%.1f' r='%.1f' fill='%s'/>", x, y, r, colour
            )
        elif shape == "square":
            self.box(x - r + 0.5, y - r + 0.5, 2 * r - 1, 2 * r - 1, colour)
        elif shape == "bar":
            self.box(x - 1.5, y - r - 2, 3, 2 * r + 4, colour)
        elif shape == "diamond":
            far = r + 1
            corners = [(x, y - far), (x + far, y), (x, y + far), (x - far, y)]
            self.polygon(corners, colour)
        elif shape == "triangle":
            low = y + r - 1
            self.polygon([(x, y - r), (x + r, low), (x - r, low)], colour)
        else:
            self.line(x - r, y - r, x + r, y + r, colour, 2.5)
            self.line(x - r, y + r, x + r, y - r, colour, 2.5)

    def polygon(self, points, colour):
        self.add(
            "<polygon points='%s' fill='%s'/>",
            *(" ".join("%.1f,%.1f" % p for p in points), colour),
        )

    def legend(self, x, y, names):
        """In one line; a width that fits the font's average."""
        for name in names:
            self.mark(x, y - 4, style(name))
            self.text(x + 11, y, name)
            x += 34 + 7.2 * len(name)
        return x

    def render(self):
        head = (
            "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
            "viewBox='0 0 %d %d' %s>\n"
            % (self.width, self.height, self.width, self.height, FONT)
        )
        back = "<rect width='100%' height='100%' fill='white'/>\n"
        return head + back + "\n".join(self.parts) + "\n</svg>\n"


class Axis:
    """From values to places, by logarithm or straight from 0."""

    def __init__(self, values, start, end, is_log):
        self.start, self.end, self.is_log = start, end, is_log
        low, high = min(values), max(values)
        if is_log:
            self.low = 10 ** (math.floor(math.log10(low) * 2 + 1e-9) / 2)
            self.high = 10 ** (math.ceil(math.log10(high) * 2 - 1e-9) / 2)
            if self.high <= self.low:
                self.high = self.low * 10
        else:
            self.low, self.high = 0.0, (high or 1.0) * 1.15

    def at(self, value):
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        if self.is_log:
            return self._log_ticks()
        step = 10 ** math.floor(math.log10(self.high))
        for divisor in (1, 2, 5, 10, 20):
            if self.high / (step / divisor) >= 4:
                step /= divisor
                break
        return [step * i for i in range(int(self.high / step + 1e-9) + 1)]

    def _log_ticks(self):
        ticks = []
        decade = math.floor(math.log10(self.low) - 1e-9)
        few = math.log10(self.high / self.low) > 3.2
        while 10**decade <= self.high * 1.001:
            for factor in (1,) if few else (1, 3):
                value = factor * 10.0**decade
                if self.low * 0.999 <= value <= self.high * 1.001:
                    ticks.append(value)
            decade += 1
        return ticks


def short(value):
    """12,000 as 12k, 0.30 as 0.3."""
    if value >= 1000000:
        return "%gM" % (round(value / 100000.0) / 10)
    if value >= 1000:
        return "%gk" % (round(value / 100.0) / 10)
    return "%g" % float("%.2g" % value)


def dots(title, note, rows, names, goal_name, unit):
    """A line for each row, a mark for each name, a ring for the goal.

    rows: (label, {name: value}, goal or None); the axis is logarithmic.
    """
    left, top, step = 330, 96, 34
    width, height = 940, top + step * len(rows) + 46
    page = Page(width, height, title, note)
    values = [v for row in rows for v in [*row[1].values(), row[2]] if v]
    axis = Axis(values, left, width - 40, True)
    for tick in axis.ticks():
        x = axis.at(tick)
        page.line(x, top - 12, x, height - 40)
        page.text(x, height - 22, short(tick), anchor="middle", colour="#555")
    middle = (left + width - 40) / 2
    page.text(middle, height - 6, unit, anchor="middle", colour="#555")
    for number, (label, by_name, goal) in enumerate(rows):
        y = top + step * number + step / 2 - 6
        page.text(left - 14, y + 4, label, anchor="end")
        page.line(left, y, width - 40, y, "#eee")
        if goal:
            x = axis.at(goal)
            page.add(
                "<path d='M %.1f %.1f v 22' stroke='#111' stroke-width='2' "
                "stroke-dasharray='3 2'/>" % (x, y - 11)
            )
        for name in reversed(names):
            if by_name.get(name):
                page.mark(axis.at(by_name[name]), y, style(name))
    end = page.legend(left + 4, 72, names)
    page.line(end, 58, end, 76, "#111", 2, "3 2")
    page.text(end + 9, 72, goal_name)
    return page.render()


def bars(title, note, rows, unit, goal=None):
    """rows: (label, [(value, what)]); one bar a value, from 0.

    The axis ends at four times the goal: what is longer is cut, and says so.
    """
    left, top, bar = 200, 78, 17
    count = sum(len(values) for _, values in rows)
    width, height = 900, top + count * (bar + 4) + len(rows) * 12 + 40
    page = Page(width, height, title, note)
    values = [v for _, vs in rows for v, _ in vs] + [goal or 0]
    if goal:
        values = [min(value, 4 * goal) for value in values]
    axis = Axis(values, left, width - 190, False)
    for tick in axis.ticks():
        x = axis.at(tick)
        page.line(x, top - 8, x, height - 40)
        page.text(x, height - 22, short(tick), anchor="middle", colour="#555")
    middle = (left + width - 190) / 2
    page.text(middle, height - 6, unit, anchor="middle", colour="#555")
    if goal:
        page.line(axis.at(goal), top - 14, axis.at(goal), height - 40, "#111", 2, "3 2")
        page.text(axis.at(goal) + 5, top - 8, "goal", colour="#111")
    y = top
    for label, values in rows:
        page.text(left - 12, y + len(values) * (bar + 4) / 2 + 2, label, anchor="end")
        for value, what in values:
            end = axis.at(min(value, axis.high))
            page.box(left, y, max(1.0, end - left), bar, COLOURS[style(label)])
            what = "%s %s" % (short(value), what)
            if value > axis.high:
                page.text(end - 8, y + 13, "cut", anchor="end", colour="#fff")
            page.box(end + 2, y, 6.5 * len(what) + 6, bar, "#fff")
            page.text(end + 6, y + 13, what)
            y += bar + 4
        y += 12
    return page.render()


def _panel(page, place, panel, names, log_y):
    x0, y0, width, height = place
    title, x_label, y_label, lines, words = panel
    points = [p for line in lines.values() for p in line]
    across = Axis([p[0] for p in points], x0 + 46, x0 + width - 12, True)
    up = Axis([p[1] for p in points], y0 + height - 44, y0 + 24, log_y)
    page.text(x0 + 46, y0 + 10, title, size=13, weight="bold")
    for tick in up.ticks():
        page.line(x0 + 46, up.at(tick), x0 + width - 12, up.at(tick))
        page.text(x0 + 40, up.at(tick) + 4, short(tick), anchor="end", colour="#555")
    for tick in sorted({p[0] for p in points}):
        x, word = across.at(tick), words.get(tick, short(tick))
        page.line(x, y0 + 24, x, y0 + height - 44, "#eee")
        page.text(x, y0 + height - 26, word, anchor="middle", colour="#555")
    middle = x0 + 46 + (width - 58) / 2
    page.text(middle, y0 + height - 9, x_label, anchor="middle", colour="#555")
    page.text(x0 + 46, y0 + 22, y_label, size=10, colour="#777")
    for name in names:
        line = sorted(lines.get(name, []))
        places = [(across.at(x), up.at(y)) for x, y in line]
        if len(places) > 1:
            page.path(places, COLOURS[style(name)])
        for place in places:
            page.mark(place[0], place[1], style(name), 4.0)


def panels(title, note, panels_, names, log_y=False):
    """Small plots, two in a row: (title, x, y, {name: [(x, y)]}, words).

    x by logarithm; `words` replaces numbers below it.
    """
    width, panel_height = 900, 260
    rows = (len(panels_) + 1) // 2
    page = Page(width, 92 + rows * panel_height, title, note)
    page.legend(26, 72, names)
    for number, panel in enumerate(panels_):
        across = width / 2 if len(panels_) > 1 else width
        place = (
            10 + (number % 2) * across,
            92 + (number // 2) * panel_height,
            across - 20,
            panel_height - 10,
        )
        _panel(page, place, panel, names, log_y)
    return page.render()
