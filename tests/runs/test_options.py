"""Options of composed models: nested by part, set by dotted names, kept and read back."""

import pytest

from danlu.contracts import DanluError
from danlu.generative.compositions import latent_flow
from danlu.generative.vq import vq
from danlu.runs.config import resolve
from danlu.runs.options import changed, flat, option_fields, place
from danlu.runs.settings import Settings
from danlu.runs.train import choose_data, open_data
from danlu.training import Budget
from danlu.training.earlier import renamed


def chosen(*items):
    """The options of a two-stage run of these settings, kept and read back."""
    data = choose_data("two-moons")
    source = open_data(data)
    sizes = ["model.width=8", "model.flow_width=8", "model.flow_blocks=1"]
    settings = Settings([*sizes, *items])
    config = resolve("latent-flow", source, data, Budget(steps=4), settings=settings)
    return config, config.options(config.build())


def test_an_option_of_a_part_is_set_by_its_dotted_name():
    config, options = chosen("sampler.prior.guided_until=0.5", "sampler.first.draws=4")
    assert (options.prior.guided_until, options.first.draws) == (0.5, 4)
    assert config.to_dict()["sampler"]["prior"]["guided_until"] == 0.5


def test_an_option_that_no_part_has_is_answered_with_the_nearest():
    with pytest.raises(DanluError, match=r"did you mean 'prior\.guided_until'"):
        chosen("sampler.prior.guided_untill=0.5")
    with pytest.raises(DanluError, match=r"did you mean 'prior\.evaluations'"):
        chosen("sampler.evaluations=5")


def test_options_of_a_prior_by_another_name_are_its_own():
    _, options = chosen("model.prior=flow", "sampler.prior.temperature=0.5")
    assert options.prior.temperature == 0.5


def test_dotted_names_go_there_and_back():
    model = vq()
    options = changed(model.Options(), {"prior.top_k": 3, "first.output": "mean"})
    assert (options.prior.top_k, options.first.output) == (3, "mean")
    assert changed(model.Options(), flat(options)) == options
    assert option_fields(model.Options).keys() == flat(options).keys()
    assert place("top_k", flat(options)) == "prior.top_k"
    assert place("solver", flat(options)) == "solver"


def test_options_that_earlier_versions_kept_in_one_row_nest():
    row = {
        "draws": 8, "estimator": "iwae", "output": "draw", "solver": "euler", "grid": None,
        "evaluations": 5, "guidance": None, "temperature": None, "top_k": None, "top_p": None,
    }  # fmt: skip
    found = renamed({"sampler": row})["sampler"]
    options = changed(latent_flow().Options(), flat(found))
    assert (options.first.draws, options.prior.solver, options.prior.evaluations) == (8, "euler", 5)
