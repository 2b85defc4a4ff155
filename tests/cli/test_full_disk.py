"""Every verb on a disk that takes no more: one line with the path, 1, and nothing cut short."""

from pathlib import Path

import pytest

TRAIN = ("train", "vae", "digits", "--steps", "3", "--set", "model.width=8")
RACE = ("race", "two-moons", "--families", "vae", "--examples", "300", "--set", "vae.model.width=8")


@pytest.fixture
def told(danlu, narrow):
    """Run a command with little room for any file; the line that it ends with."""

    def command(*arguments, room=0):
        with narrow(room):
            done = danlu(*arguments)
        assert done.code == 1, done
        assert "Traceback" not in done.out + done.err
        line = done.err.splitlines()[-1]
        assert line.startswith("danlu: ")
        assert "File too large; what was there before is unchanged." in line
        assert list(Path.cwd().rglob(".writing-*")) == []
        return line

    return command


@pytest.fixture
def vae(danlu):
    assert danlu(*TRAIN, "--out", "vae").code == 0
    return Path("vae")


def test_training_says_what_is_kept_and_goes_on_once_there_is_room(told, danlu, vae):
    assert "config.yaml: File too large" in told(*TRAIN, "--out", "new")
    assert danlu(*TRAIN, "--out", "new").code == 0
    line = told("train", "--resume", "vae", "--steps", "6", room=6000)
    assert "The checkpoint of step 3 is kept." in line
    assert danlu("train", "--resume", "vae").code == 0


def test_training_without_a_checkpoint_says_that_there_is_none(told, danlu):
    assert "There is no checkpoint yet." in told(*TRAIN, "--out", "new", room=6000)
    assert danlu("train", "--resume", "new").code == 0


@pytest.mark.parametrize("name", ["drawn.png", "drawn.npz"])
def test_samples(told, vae, name):
    assert f"{name}: File too large" in told("sample", vae, "--n", "4", "--out", name)
    assert not Path(name).exists()


@pytest.mark.parametrize("file", ["words", "words.txt", "words.bin"])
def test_word_vectors(told, file):
    Path("text.txt").write_text("one two three four five\n" * 30)
    form = {"words": "danlu", "words.txt": "word2vec", "words.bin": "word2vec-binary"}[file]
    line = told("words", "fit", "text.txt", "--out", file, "--format", form, "--set", "dim=3")
    assert f"{file}: File too large" in line
    assert not Path(file).exists()


@pytest.mark.long
def test_evaluation_and_report(told, danlu, vae):
    told("eval", vae, "--n", "20", "--out", "figures")
    assert not (vae / "results.json").exists()
    assert danlu("eval", vae, "--n", "20").code == 0
    before = (vae / "report.html").read_bytes()
    told("report", vae)
    told("report", vae, vae, "--out", "both.html")
    assert (vae / "report.html").read_bytes() == before


@pytest.mark.long
@pytest.mark.parametrize("form", ["pt2", "onnx"])
def test_export(told, vae, form):
    told("export", vae, "--format", form, "--out", "out", room=2000)
    assert [path.name for path in Path("out").iterdir()] == []


@pytest.mark.long
@pytest.mark.parametrize("room", [0, 6000])
def test_race_says_how_it_goes_on(told, danlu, room):
    line = told(*RACE, "--out", "race", room=room)
    if room:
        assert "`danlu race --resume race`" in line
        assert danlu("race", "--resume", "race").code == 0
