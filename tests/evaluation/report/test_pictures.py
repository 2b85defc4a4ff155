import numpy as np
import pytest
import torch
from PIL import Image

from danlu.contracts import Classes, DanluError, DataDescription, DataKind
from danlu.evaluation.pictures import CELL, GAP, GROUND, PAIR_GAP, grid, neighbours

GREY = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 8, 8), levels=17, low=-1.0, high=1.0, condition=Classes(3)
)
COLOUR = DataDescription(kind=DataKind.IMAGE, shape=(3, 28, 20), levels=256, low=-1.0, high=1.0)
POINTS = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)


def pixels(path):
    return np.asarray(Image.open(path))


def test_cells_are_enlarged_without_smoothing_and_stand_apart(tmp_path):
    samples = torch.rand(5, 1, 8, 8, dtype=torch.float64).round() * 2 - 1
    sheet = pixels(grid(samples, GREY, path=tmp_path / "new" / "grid.png", columns=3))
    assert sheet.shape == (2 * CELL + 3 * GAP, 3 * CELL + 4 * GAP)
    factor = CELL // 8
    for index, sample in enumerate(samples):
        top = GAP + (index // 3) * (CELL + GAP)
        left = GAP + (index % 3) * (CELL + GAP)
        wanted = np.kron((sample[0].numpy() > 0) * 255, np.ones((factor, factor)))
        assert (sheet[top : top + CELL, left : left + CELL] == wanted).all()
        assert (sheet[top - GAP : top, left : left + CELL] == GROUND).all()
        assert (sheet[top : top + CELL, left - GAP : left] == GROUND).all()
    assert (sheet[GAP + CELL + GAP :, -GAP - CELL :] == GROUND).all()  # the cell that is missing


def test_colour_is_kept_and_values_outside_the_range_are_clipped(tmp_path):
    samples = torch.full((1, 3, 28, 20), -7.0)
    samples[:, 0] = 5.0
    sheet = pixels(grid(samples, COLOUR, path=tmp_path / "grid.png"))
    assert sheet.shape == (2 * 28 + 2 * GAP, 2 * 20 + 2 * GAP, 3)
    assert sheet[GAP, GAP].tolist() == [255, 0, 0]


def test_every_class_has_its_own_row(tmp_path):
    ids = torch.tensor([2, 0, 2, 0, 0])
    samples = ids[:, None, None, None].expand(-1, 1, 8, 8).double() - 1
    path = grid(samples, GREY, path=tmp_path / "grid.png", columns=2, condition=ids)
    sheet = pixels(path)
    assert sheet.shape == (2 * CELL + 3 * GAP, 2 * CELL + 3 * GAP)
    assert (sheet[GAP : GAP + CELL, GAP : GAP + CELL] == 0).all()
    assert (sheet[-GAP - CELL : -GAP, -GAP - CELL : -GAP] == 255).all()


def test_a_neighbour_stands_nearer_to_its_sample_than_to_other_pairs(tmp_path):
    samples, near = torch.full((3, 1, 8, 8), -1.0), torch.full((3, 1, 8, 8), 1.0)
    path = neighbours(samples, near, GREY, path=tmp_path / "pairs.png", pairs=2)
    row = pixels(path)[GAP]
    runs = np.split(row, np.flatnonzero(np.diff(row.astype(int))) + 1)
    assert [(run[0], len(run)) for run in runs][1:6] == [
        (0, CELL),
        (GROUND, PAIR_GAP),
        (255, CELL),
        (GROUND, GAP + CELL // 4),
        (0, CELL),
    ]


def test_points_become_a_square_scatter_with_real_data_behind(tmp_path):
    samples = torch.randn(50, 2)
    plain = pixels(grid(samples, POINTS, path=tmp_path / "a.png"))
    behind = pixels(grid(samples, POINTS, path=tmp_path / "b.png", behind=torch.randn(80, 2)))
    pairs = pixels(neighbours(samples, samples + 0.3, POINTS, path=tmp_path / "c.png"))
    assert plain.shape == behind.shape == pairs.shape == (600, 600, 4)
    assert (plain[..., 3] > 0).sum() < (behind[..., 3] > 0).sum()
    assert plain[2, 2, 3] == 0


@pytest.mark.parametrize(
    ("samples", "description"),
    [
        (torch.zeros(0, 1, 8, 8), GREY),
        (torch.zeros(4, 5), DataDescription(shape=(5,), levels=None, low=0.0, high=1.0)),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_line(tmp_path, samples, description):
    with pytest.raises(DanluError):
        grid(samples, description, path=tmp_path / "grid.png")
