import io

from rich.console import Console

from danlu.laws.training.small_players import OnePlayer, TwoPlayers, trainer
from danlu.training import Budget
from danlu.training.live_progress import ConsoleProgress, clock


def shown(kind, **options):
    out = io.StringIO()
    hook = ConsoleProgress(Console(file=out, width=120, **options), title="tiny")
    run = trainer(kind, Budget(steps=4), hooks=[hook])
    run.run()
    return out.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    lines = shown(OnePlayer).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("tiny  25%  train  step 1  ")
    assert lines[1].startswith("tiny 100%  train  step 4  ")
    assert "examples/s  0:00 left  error " in lines[1]
    assert lines[2].startswith("tiny done: 4 steps, 32 examples in 0:00 of training")


def test_every_player_is_named():
    assert "critic: total " in shown(TwoPlayers)
    assert "generator: fooled " in shown(TwoPlayers)


def test_a_bar_in_a_terminal():
    text = shown(OnePlayer, force_terminal=True)
    assert "100%" in text
    assert "\x1b[?25h" in text, "the cursor comes back"


def test_notices_are_shown(tmp_path):
    out = io.StringIO()
    trainer(OnePlayer, Budget(steps=2), folder=tmp_path).run()
    (tmp_path / "checkpoints/000002/state.pt").unlink()
    (tmp_path / "checkpoints/000002").rename(tmp_path / "checkpoints/000003")
    (tmp_path / "checkpoints/LATEST").unlink()
    trainer(OnePlayer, Budget(steps=4), folder=tmp_path / "other").run()
    hook = ConsoleProgress(Console(file=out, width=200))
    source, target = tmp_path / "other/checkpoints/000004", tmp_path / "checkpoints/000001"
    source.rename(target)
    trainer(OnePlayer, Budget(steps=5), folder=tmp_path, hooks=[hook]).run()
    assert "note: Checkpoint 000003 is damaged (state.pt is absent)" in out.getvalue()


def test_clock():
    assert [clock(s) for s in (0.4, 59.6, 754.0, 3723.0)] == ["0:00", "1:00", "12:34", "1:02:03"]
