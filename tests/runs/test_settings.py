"""Settings by name: text to typed values, without evaluation."""

from enum import StrEnum
from functools import partial
from typing import Literal

import pytest

from danlu.contracts import DanluError
from danlu.runs.settings import ROOMS, Settings, parse, settings_of, types_of


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3),
        ("-1e-3", float, -0.001),
        ("2", float, 2.0),
        ("True", bool, True),
        ("off", bool, False),
        ("two words", str, "two words"),
        ("none", int | None, None),
        ("7", int | None, 7),
        ("3", int | float | str, 3),
        ("3.5", int | float | str, 3.5),
        ("0.5, 0.9", tuple[float, float], (0.5, 0.9)),
        ("(1,2,3)", tuple[int, ...], (1, 2, 3)),
        ("red", Colour, Colour.RED),
        ("b", Literal["a", "b"], "b"),
        ("__import__('os').getcwd()", str, "__import__('os').getcwd()"),
    ],
)
def test_text_is_read_as_its_type(text, kind, value):
    found = parse(text, kind, "room.field")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("3.5", int, "a whole number"),
        ("many", float, "a number"),
        ("2", bool, "true or false"),
        ("1,2,3", tuple[float, float], "tuple"),
        ("blue", Colour, "red"),
        ("1+1", int | None, "none or a whole number"),
    ],
)
def test_text_of_another_type_is_refused(text, kind, wanted):
    with pytest.raises(DanluError, match=f"room.field takes .*{wanted}"):
        parse(text, kind, "room.field")


def test_the_last_of_two_values_counts():
    settings = Settings(["train.batch=3", "train.batch=4"])
    assert settings.read("train", {"batch": int}) == {"batch": 4}


def test_an_equals_sign_in_a_value_is_kept():
    assert Settings(["data.x=a=b"]).texts["data"] == {"x": "a=b"}


def test_rooms_a_command_does_not_use():
    Settings(["sampler.x=1"]).require_only("sampler")
    for room in set(ROOMS) - {"sampler"}:
        with pytest.raises(DanluError, match=f"--set {room}.x"):
            Settings([f"{room}.x=1"]).require_only("sampler")


def test_settings_of_a_builder_and_of_a_variant_of_it():
    def build(description=None, *, width: int = 3, name="a", **rest):
        return description

    assert settings_of(build) == {"width": 3, "name": "a"}
    assert types_of(build) == {"width": int, "name": str}
    assert settings_of(partial(build, name="b")) == {"width": 3, "name": "b"}
    assert types_of(partial(build, name="b"))["name"] is str
