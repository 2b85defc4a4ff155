"""Couplings from the command line: each by name, and a word where one mixes classes."""

import pytest

TINY = ("--set", "model.width=8", "--set", "train.batch=16")


@pytest.mark.parametrize(("coupling", "said"), [("optimal", True), ("class-optimal", False)])
def test_a_coupling_is_chosen_by_name(danlu, coupling, said):
    chosen = ("--set", f"model.parts=coupling={coupling}", *TINY)
    done = danlu("train", "rectified-flow", "digits", "--steps", "1", *chosen)
    assert done.code == 0
    assert ("pairs noise over all classes" in " ".join((done.out + done.err).split())) is said
