"""The panels that the dashboards are made of, and their layout: classic JSON, for Grafana 10.4 and newer.

What is said once here is said of every panel: the data source is a variable, a value that nobody could tell is named
and purple, green is well and red is not.
"""

from __future__ import annotations

import dataclasses
import re
import string
import zlib
from typing import Any, Optional, Sequence

GREEN, YELLOW, RED, BLUE, UNKNOWN, PLAIN = "green", "orange", "red", "blue", "purple", "text"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PAGE = "${page:raw}"
SELECTOR = r"([a-z_]+\{[^}]*\})(\[[^\]]*\])?"
# What every selector of the dashboard of an instance has, and the window of its rates.
CHOSEN = 'instance=~"$instance"'
RATE = "$__rate_interval"
# From a cell with the name of an instance to everything about it, within the same time.
INSTANCE = (
    "/d/hermes-instance?var-instance=${__value.text:percentencode}&var-datasource=${datasource}&${__url_time_range}"
)

# What a threshold or a mapping says of a value.
Steps = Sequence[tuple[Optional[float], str]]
Words = dict[float, tuple[str, str]]

# Words for a value that there should be, and that nobody could tell; all others say that there rightly is none.
UNTOLD = {"unknown", "not told", "not scraped", "no such instance"}

WELL: Steps = [(None, GREEN)]
NEUTRAL: Steps = [(None, PLAIN)]
ANY_IS_BAD: Steps = [(None, GREEN), (1, RED)]
ANY_IS_DOUBTFUL: Steps = [(None, GREEN), (1, YELLOW)]
UP: Words = {0: ("down", RED), 0.5: ("unknown", UNKNOWN), 1: ("up", GREEN)}
YES: Words = {0: ("no", RED), 1: ("yes", GREEN)}
HEALTH: Words = {
    -1: ("not seen", UNKNOWN),
    0: ("healthy", GREEN),
    1: ("unknown", UNKNOWN),
    2: ("warning", YELLOW),
    3: ("critical", RED),
}
SEVERITY = {"critical": RED, "warning": YELLOW, "info": BLUE, "none": PLAIN}
STATES = {
    **{word: GREEN for word in ("running", "active", "connected", "scheduled", "completed", "ready")},
    **{word: YELLOW for word in ("starting", "degraded", "draining", "stopping", "reloading", "activating")},
    **{word: YELLOW for word in ("deactivating", "connecting", "retrying", "interrupted", "maintenance")},
    **{word: RED for word in ("stopped", "startup_failed", "crashed", "frozen", "failed", "disconnected", "fatal")},
    **{word: RED for word in ("error", "empty", "missing", "not_a_repository", "load-failed", "not-found", "masked")},
    **{word: PLAIN for word in ("inactive", "paused")},
    **{word: UNKNOWN for word in ("other", "unknown", "no-manager")},
}


@dataclasses.dataclass(frozen=True)
class Query:
    """A question to Prometheus, and what its answers are called."""

    expression: str
    legend: str = ""
    # A fixed colour for what is called by the legend.
    colour: str = ""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: a label, or the value of a query as `#A`, `#B` and so on."""

    field: str
    title: str
    unit: str = "none"
    width: int = 0
    decimals: Optional[int] = None
    steps: Optional[Steps] = None
    words: Optional[Words] = None
    texts: Optional[dict[str, str]] = None
    missing: Optional[str] = None
    link: tuple[str, str] = ("", "")

    @property
    def when_missing(self) -> str:
        """Words for a cell without a value: a label that is mere text may rightly be empty."""
        if self.missing is not None:
            return self.missing
        return "unknown" if self.field.startswith("#") or self.texts else "–"


@dataclasses.dataclass
class Panel:
    """A panel without its place."""

    content: dict[str, Any]
    width: int
    height: int


@dataclasses.dataclass
class Row:
    """A row with a title, which can be folded; without a title, panels at the head of the dashboard."""

    title: str
    panels: list[Panel]
    folded: bool = False


def stat(
    title: str,
    description: str,
    queries: Query | list[Query],
    *,
    unit: str = "none",
    steps: Steps = NEUTRAL,
    words: Optional[Words] = None,
    missing: str = "unknown",
    decimals: Optional[int] = None,
    width: int = 4,
    height: int = 4,
    shows: str = "value",
    background: bool = False,
    url: str = "",
) -> Panel:
    """One or a few numbers in large type."""
    content = _panel("stat", title, description, queries, instant=True)
    # Grafana gives the words for a missing value the colour of the lowest step.
    steps = [(None, _colour_of(missing)), (-1e12, steps[0][1]), *steps[1:]]
    content["fieldConfig"] = _field_config(unit, steps, words, missing, decimals, None)
    if url:
        content["fieldConfig"]["defaults"]["links"] = [_link(title, url)]
    for query in _list(queries):
        if query.colour:
            content["fieldConfig"]["overrides"].append(
                _named(query.legend, _thresholds([(None, UNKNOWN), (0, PLAIN), (1, query.colour)]))
            )
    content["options"] = {
        "colorMode": "background" if background else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "showPercentChange": False,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": shows,
        "wideLayout": True,
    }
    return Panel(content, width, height)


def chart(
    title: str,
    description: str,
    queries: Query | list[Query],
    *,
    unit: str = "short",
    width: int = 8,
    height: int = 8,
    low: Optional[float] = 0,
    high: Optional[float] = None,
    stacked: bool = False,
    bars: bool = False,
    steps: Optional[Steps] = None,
    words: Optional[Words] = None,
    missing: str = "unknown",
    decimals: Optional[int] = None,
    interval: str = "",
    legend_at: str = "bottom",
    most: str = "",
) -> Panel:
    """Lines over time; `steps` draw limits as dashed lines, `most` (topk or bottomk) leaves out all but ten."""
    if most:
        which = "highest" if most == "topk" else "lowest"
        description += f" Of more than ten, the ten that were {which} last."
        queries = [dataclasses.replace(query, expression=_ten(most, query.expression)) for query in _list(queries)]
    content = _panel("timeseries", title, description, queries, instant=False)
    if interval:
        content["interval"] = interval
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "stepAfter" if words or stacked else "linear",
        "lineWidth": 0 if stacked else 2,
        "fillOpacity": 70 if bars else 35 if stacked else 5,
        "showPoints": "never",
        # A gap in what was scraped stays a gap: nobody knows how it was then.
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }
    if high is None and (decimals == 0 or unit == "percentunit"):
        # Without it a line that stays at zero has an axis up to a hundred; a limit of one is always to be seen.
        custom["axisSoftMax"] = 1.1 if unit == "percentunit" and steps else 0.05 if unit == "percentunit" else 5
    config = _field_config(unit, steps or WELL, words, missing, decimals, low)
    config["defaults"] |= {"color": {"mode": "palette-classic"}, "custom": custom}
    if high is not None:
        config["defaults"]["max"] = high
    for query in _list(queries):
        if query.colour:
            colour = {"id": "color", "value": {"mode": "fixed", "fixedColor": query.colour}}
            config["overrides"].append(_named(query.legend, colour))
    content["fieldConfig"] = config
    content["options"] = {
        "legend": {"calcs": [], "displayMode": "list", "placement": legend_at, "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(content, width, height)


def bars(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Steps = NEUTRAL,
    missing: str = "unknown",
    high: Optional[float] = None,
    decimals: Optional[int] = None,
    width: int = 8,
    height: int = 8,
) -> Panel:
    """One horizontal bar for each answer."""
    content = _panel("bargauge", title, description, query, instant=True)
    config = _field_config(unit, steps, None, missing, decimals, 0)
    if high is not None:
        config["defaults"]["max"] = high
    if steps is NEUTRAL:
        config["defaults"]["color"] = {"mode": "fixed", "fixedColor": BLUE}
    content["fieldConfig"] = config
    content["options"] = {
        "displayMode": "basic",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 40,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        # Two bars are not to be in larger type than ten.
        "text": {"titleSize": 13, "valueSize": 14},
    }
    return Panel(content, width, height)


def table(
    title: str,
    description: str,
    queries: Query | list[Query],
    columns: list[Column],
    *,
    missing: str,
    sort: Optional[tuple[str, bool]] = None,
    width: int = 24,
    height: int = 8,
) -> Panel:
    """Rows, one for each set of labels that the queries share; `missing` stands where there is no row at all.

    `sort` is the title of a column, and whether the greatest comes first.
    """
    content = _panel("table", title, description, queries, instant=True, form="table")
    one = len(_list(queries)) == 1

    def name(column: Column) -> str:
        return column.field if not column.field.startswith("#") else "Value" if one else f"Value {column.field}"

    config = _field_config("none", NEUTRAL, None, missing, None, None)
    config["defaults"]["custom"] = {
        "align": "auto",
        "minWidth": 50,
        "cellOptions": {"type": "auto"},
        "filterable": False,
        "inspect": False,
    }
    for column in columns:
        config["overrides"].append(_column(column))
    content["fieldConfig"] = config
    content["options"] = {
        "cellHeight": "sm",
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [],
    }
    names = [name(column) for column in columns]
    organized = {
        "excludeByName": {},
        "indexByName": {name: number for number, name in enumerate(names)},
        "renameByName": {name(column): column.title for column in columns},
    }
    content["transformations"] = [
        *([] if one else [{"id": "merge", "options": {}}]),
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": organized},
    ]
    if sort:
        # Not the table's own order, so that a click on another column is not undone.
        sorting = [{"field": sort[0], "desc": sort[1]}]
        content["transformations"].append({"id": "sortBy", "options": {"fields": {}, "sort": sorting}})
    return Panel(content, width, height)


def dashboard(
    uid: str, title: str, description: str, rows: list[Row], variables: list[dict], links: list[dict], since: str
) -> dict[str, Any]:
    """A whole dashboard: its rows from top to bottom, the panels of each from left to right."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        placed, end = _placed(row, y + 1 if row.title else y)
        if row.title:
            head = {
                "type": "row",
                "id": _id(row.title, ""),
                "title": row.title,
                "collapsed": row.folded,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
                "panels": placed if row.folded else [],
            }
            panels.append(head)
        panels += [] if row.folded else placed
        y = y + 1 if row.folded else end
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["hermes"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "liveNow": False,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "annotations": {"list": []},
        "links": links,
        "templating": {"list": variables},
        "panels": panels,
    }


# ---- variables and links of a dashboard ----


def datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        # Nothing that there is, so that Grafana takes the first that there is.
        "current": {"text": "", "value": ""},
        "options": [],
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "refresh": 1,
        "skipUrlSync": False,
    }


def address_variable(name: str, label: str, description: str, address: str) -> dict[str, Any]:
    """An address that the reader's browser can reach, which no metric knows."""
    chosen = {"text": address, "value": address, "selected": True}
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "textbox",
        "query": address,
        "current": chosen,
        "options": [chosen],
        "hide": 0,
        "skipUrlSync": False,
    }


def instance_variable() -> dict[str, Any]:
    query = "label_values(hermes_instance_info, instance)"
    return {
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "instance", "qryType": 1},
        "regex": "",
        "sort": 1,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def page_variable() -> dict[str, Any]:
    said = "Where your browser reaches the exporter's own page; links to the page and to runbooks begin with it"
    return address_variable("page", "Status page", said, "http://127.0.0.1:10119")


def top_link(title: str, url: str, tooltip: str, *, new_tab: bool = False) -> dict[str, Any]:
    return {
        "title": title,
        "type": "link",
        "url": url,
        "tooltip": tooltip,
        "icon": "external link" if new_tab else "dashboard",
        "asDropdown": False,
        "includeVars": not new_tab,
        "keepTime": not new_tab,
        "tags": [],
        "targetBlank": new_tab,
    }


# ---- what all kinds share ----


def _ten(most: str, expression: str) -> str:
    """The same over time for the ten that it was last highest or lowest for: of each moment they would be more.

    Last within the time that is shown, so that what nobody can tell any more does not lose its past.
    """

    def last(selector: re.Match[str]) -> str:
        window = f"{selector[1]}[$__range] @ end()"
        return window if selector[2] else f"last_over_time({window})"

    return f"({expression}) and {most}(10, {re.sub(SELECTOR, last, expression)})"


def _list(queries: Query | list[Query]) -> list[Query]:
    return queries if isinstance(queries, list) else [queries]


def _panel(
    kind: str, title: str, description: str, queries: Query | list[Query], *, instant: bool, form: str = "time_series"
) -> dict[str, Any]:
    targets = [
        {
            "refId": letter,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": " ".join(query.expression.split()),
            "format": form,
            "instant": instant,
            "range": not instant,
            "legendFormat": query.legend or "__auto",
        }
        for letter, query in zip(string.ascii_uppercase, _list(queries), strict=False)
    ]
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets}


def _field_config(
    unit: str,
    steps: Steps,
    words: Optional[Words],
    missing: str,
    decimals: Optional[int],
    low: Optional[float],
) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": unit,
        "noValue": missing,
        "color": {"mode": "thresholds"},
        "mappings": _mappings(words),
        **{property["id"]: property["value"] for property in [_thresholds(steps)]},
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    if low is not None:
        defaults["min"] = low
    return {"defaults": defaults, "overrides": []}


def _thresholds(steps: Steps) -> dict[str, Any]:
    listed = [{"color": colour, "value": value} for value, colour in steps]
    return {"id": "thresholds", "value": {"mode": "absolute", "steps": listed}}


def _mappings(
    words: Optional[Words], texts: Optional[dict[str, str]] = None, missing: str = ""
) -> list[dict[str, Any]]:
    options: dict[str, Any] = {
        f"{value:g}": {"text": text, "color": colour} for value, (text, colour) in (words or {}).items()
    }
    options |= {text: {"color": colour} for text, colour in (texts or {}).items()}
    for number, option in enumerate(options.values()):
        option["index"] = number
    found: list[dict[str, Any]] = [{"type": "value", "options": options}] if options else []
    if missing:
        result = {"text": missing, "color": _colour_of(missing), "index": len(options)}
        found.append({"type": "special", "options": {"match": "null+nan", "result": result}})
    return found


def _colour_of(missing: str) -> str:
    return UNKNOWN if missing in UNTOLD else PLAIN


def _named(name: str, *properties: dict[str, Any]) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}


def _column(column: Column) -> dict[str, Any]:
    properties: list[dict[str, Any]] = [{"id": "noValue", "value": column.when_missing}]
    if column.field.startswith("#"):
        properties.append({"id": "unit", "value": column.unit})
    if column.width:
        properties.append({"id": "custom.width", "value": column.width})
    if column.words and column.unit == "none":
        properties.append({"id": "custom.align", "value": "left"})
    if column.decimals is not None:
        properties.append({"id": "decimals", "value": column.decimals})
    properties.append({"id": "mappings", "value": _mappings(column.words, column.texts, column.when_missing)})
    if column.steps:
        properties.append(_thresholds(column.steps))
    if column.steps or column.words or column.texts or column.when_missing == "unknown":
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    title, url = column.link
    if url:
        properties.append({"id": "links", "value": [_link(title, url)]})
    return _named(column.title, *properties)


def _link(title: str, url: str) -> dict[str, Any]:
    return {"title": title, "url": url, "targetBlank": url.startswith(PAGE)}


def _id(row: str, title: str) -> int:
    """An id that stays when panels come and go around it: links to a single panel name it."""
    return zlib.crc32(f"{row}/{title}".encode()) % 1_000_000 + 1


def _placed(row: Row, y: int) -> tuple[list[dict[str, Any]], int]:
    """Each panel as far up, and then as far left, as there is room below those before it."""
    placed = []
    filled = [y] * 24
    for panel in row.panels:
        free = {x: max(filled[x : x + panel.width]) for x in range(24 - panel.width + 1)}
        x = min(free, key=lambda at: (free[at], at))
        place = {"h": panel.height, "w": panel.width, "x": x, "y": free[x]}
        placed.append({"id": _id(row.title, panel.content["title"]), "gridPos": place, **panel.content})
        filled[x : x + panel.width] = [free[x] + panel.height] * panel.width
    return placed, max(filled)
