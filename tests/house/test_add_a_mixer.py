"""docs/how-to/add-a-mixer.md to the letter: its code is written, its commands are run in order."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-mixer.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE, CHECKED, STACKED = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(COMMAND,) = re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINE = re.search(r"^```\n(\".*?)^```$", TEXT, re.MULTILINE | re.DOTALL).group(1)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory):
    """A reader's folder, with the module that the page tells to write."""
    folder = tmp_path_factory.mktemp("reader")
    name = re.search(r"Write `(\w+\.py)`", TEXT).group(1)
    (folder / name).write_text(CODE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield
        sys.modules.pop(name.removesuffix(".py"), None)


def said(block):
    """What a block says it prints."""
    return re.search(r"print\(.*\)  # (.*)$", block, re.MULTILINE).group(1) + "\n"


def test_the_command_checks_it(capsys):
    from danlu.cli.main import main

    program, *arguments = shlex.split(COMMAND)
    assert program == "danlu"
    assert main(arguments) == 0
    assert re.search(r"(\d+) of \1 laws hold", capsys.readouterr().out)


@pytest.mark.parametrize("block", [CHECKED, STACKED])
def test_the_code_prints_what_the_page_says(block, capsys):
    exec(compile(block, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == said(block)


def test_one_line_in_the_table_makes_its_laws():
    """The line as it stands on the page is a row, and the row has its laws."""
    from running_mean import RunningMean

    from danlu.contracts import Method
    from danlu.laws.mixers.mixers import mixer_laws

    table = eval(
        "{" + LINE + "}", {"Method": Method, "RunningMean": RunningMean, "partial": partial}
    )
    ((name, row),) = table.items()
    assert len(mixer_laws(f"mixers/{name}", row.build)) >= 14


def test_what_is_wrong_is_found_with_the_smallest_example():
    """A layer whose padding leaks into its state fails by name."""
    from running_mean import RunningMean

    import danlu

    class Careless(RunningMean):
        def mix(self, x, context, state, form):
            from dataclasses import replace

            return super().mix(x, replace(context, valid=None), state, form)

    failed = {row.law.name: row.example for row in danlu.check.mixer(Careless) if not row.holds}
    assert set(failed) == {"mixers/Careless/packed", "mixers/Careless/padding"}
    assert failed["mixers/Careless/padding"].startswith("1 tokens with 1 of padding on the left:")


def test_what_raises_fails_with_its_message():
    from running_mean import RunningMean

    import danlu

    class Broken(RunningMean):
        def mix(self, x, context, state, form):
            assert x.shape[1] < 4, "too long for me"
            return super().mix(x, context, state, form)

    failed = [row for row in danlu.check.mixer(Broken) if not row.holds]
    assert any("AssertionError: too long for me" in row.example for row in failed)


def test_what_is_no_mixer_is_refused():
    import danlu
    from danlu.contracts import DanluError

    with pytest.raises(DanluError, match="makes no Mixer, but a Linear"):
        danlu.check.mixer(lambda: torch.nn.Linear(2, 2))
    with pytest.raises(DanluError, match="needs more than a width"):
        danlu.check.mixer(lambda width, depth: None)
