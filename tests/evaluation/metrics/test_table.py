import inspect
import re

import pytest

from danlu.evaluation import METRICS
from danlu.evaluation.features import SPACES
from danlu.evaluation.metrics.metric import Better, Metric, Need
from danlu.evaluation.scoring import metric_of


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_states_its_facts_and_sources(name):
    method = METRICS[name]
    metric = method.build()
    assert isinstance(metric, Metric)
    assert metric_of(f"{name}@pixels") is method.target
    assert metric.needs in Need
    assert metric.better in Better
    for line in (metric.title, metric.measures, metric.noise):
        assert line == line.strip()
        assert 0 < len(line) < 100
    page = inspect.getdoc(inspect.getmodule(method.target))
    for source in method.sources:
        assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", source)
        assert source in page


def test_no_metric_is_called_fid():
    facts = [f"{name} {m.target.title} {m.target.measures}" for name, m in METRICS.items()]
    assert not [fact for fact in facts if re.search(r"\bfid\b", fact, re.IGNORECASE)]


def test_every_concrete_metric_is_in_the_table():
    assert set(Metric.__subclasses__()) == {method.target for method in METRICS.values()}


@pytest.mark.parametrize("name", SPACES)
def test_every_space_names_its_sources_on_its_page(name):
    page = inspect.getdoc(inspect.getmodule(SPACES[name].target))
    assert all(source in page for source in SPACES[name].sources)
