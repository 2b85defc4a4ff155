"""The laws are collected from every file, and may be asked for by room, method or class."""

import importlib
import pkgutil

import pytest
import torch

import danlu
from danlu import laws as checks
from danlu.contracts import DanluError
from danlu.generative.gan.gan import build
from danlu.laws import laws, laws_of, measured
from danlu.laws.law import Law


def test_every_file_of_laws_is_collected():
    names = {law.name for law in laws()}
    for found in pkgutil.iter_modules(checks.__path__):
        module = importlib.import_module(f"{checks.__name__}.{found.name}")
        assert {law.name for law in getattr(module, "LAWS", [])} <= names


def test_laws_by_room_and_by_method():
    assert {law.name.partition("/")[0] for law in laws_of("optim")} == {"optim"}
    assert "optim/adamw" in {law.name for law in laws_of("adamw")}
    assert not {law.name for law in laws_of("gan")} & {law.name for law in laws_of("wgan")}
    assert laws_of() == laws()
    with pytest.raises(DanluError, match="did you mean 'optim'"):
        laws_of("optm")


@pytest.mark.long
def test_several_processes_measure_what_one_does():
    rows = [*laws_of("evidence"), *laws_of("codebook")]
    facts = [(checked.law.name, checked.error, checked.example) for checked in measured(rows)]
    together = list(checks.measured_together(rows))
    assert [(found.law.name, found.error, found.example) for found in together] == facts
    assert all(found.seconds > 0 for found in together)


def test_a_law_that_raises_does_not_hold_and_says_why():
    def raises():
        raise ValueError("no such thing\nat all")

    (checked,) = measured([Law("a/b", "it is measured", 1.0, raises, oracle="contract")])
    assert not checked.holds
    assert checked.example == "ValueError: no such thing"


def test_a_class_of_ones_own_must_obey_the_family_laws():
    assert all(checked.holds for checked in danlu.check(build))


def test_a_family_that_breaks_a_law_is_caught():
    def broken(description):
        model = build(description)
        model.register_buffer("calls", torch.zeros(()))
        plain = model.loss

        def loss(batch, player, progress):
            model.calls += 1
            return plain(batch, player, progress)

        model.loss = loss
        return model

    failed = {checked.law.name for checked in danlu.check(broken) if not checked.holds}
    assert any("purity" in name for name in failed)
