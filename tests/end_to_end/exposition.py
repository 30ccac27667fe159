"""What an exporter answers, parsed by the reference parsers and made easy to ask.

`Samples` knows nothing of Hermes; it is a set of samples that can be asked for one, for many, or for what
differs from another set.
"""

from __future__ import annotations

import collections
from typing import Callable, Iterable, Mapping

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client import parser as text_parser

Labels = frozenset[tuple[str, str]]
PARSERS: Mapping[str, Callable] = {
    "text": text_parser.text_string_to_metric_families,
    "openmetrics": openmetrics_parser.text_string_to_metric_families,
}


class Samples:
    """The samples of one scrape: by name, then by labels."""

    def __init__(self, samples: Iterable[tuple[str, Mapping[str, str], float]]) -> None:
        self._all: dict[str, dict[Labels, float]] = collections.defaultdict(dict)
        twice = []
        for name, labels, value in samples:
            key = frozenset(labels.items())
            if key in self._all[name]:
                twice.append((name, dict(labels)))
            self._all[name][key] = value
        assert not twice, f"label sets that occur more than once: {twice[:10]}"

    @classmethod
    def parse(cls, text: str, form: str = "text") -> Samples:
        """Parses a scrape; the parser for OpenMetrics is the strict one."""
        families = list(PARSERS[form](text))
        names = collections.Counter(family.name for family in families)
        twice = [name for name, count in names.items() if count > 1]
        assert not twice, f"families that occur more than once: {twice}"
        return cls((sample.name, sample.labels, sample.value) for family in families for sample in family.samples)

    def names(self) -> set[str]:
        return set(self._all)

    def __iter__(self):
        for name, series in self._all.items():
            for labels, value in series.items():
                yield name, dict(labels), value

    def of(self, **labels: str) -> Samples:
        """The samples that have these labels, without them."""
        wanted = set(labels.items())
        return Samples(
            (name, dict(set(found.items()) - wanted), value)
            for name, found, value in self
            if wanted <= set(found.items())
        )

    def series(self, name: str, **labels: str) -> dict[Labels, float]:
        """Every sample of one name that has these labels; the keys are the labels besides them."""
        wanted = set(labels.items())
        return {found - wanted: value for found, value in self._all.get(name, {}).items() if wanted <= found}

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Every sample of one name that has these labels and exactly one more, by the value of that one."""
        answer = {}
        for found, value in self.series(name, **labels).items():
            rest = dict(found)
            assert set(rest) == {label}, f"{name}{labels} has the labels {sorted(rest)} left, expected {label} alone"
            answer[rest[label]] = value
        return answer

    def value(self, name: str, **labels: str) -> float:
        """The one sample of this name with exactly these labels."""
        found = self._all.get(name, {}).get(frozenset(labels.items()))
        assert found is not None, f"no sample {name}{labels}; of that name there are {self.show(name)}"
        return found

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is any sample of this name that has these labels."""
        return bool(self.series(name, **labels))

    def show(self, name: str) -> list[str]:
        return sorted(f"{dict(sorted(labels))} {value:g}" for labels, value in self._all.get(name, {}).items())

    def keys(self) -> set[tuple[str, Labels]]:
        """Names and labels, without values."""
        return {(name, frozenset(labels.items())) for name, labels, _ in self}
