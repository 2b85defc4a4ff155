"""Nearest neighbours by chunked brute force: radii, membership of balls, nearest examples."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from danlu.evaluation.metrics.cloud import Cloud

MOST_NEIGHBOURS = 5
CHUNK = 1000


def radii(cloud: Cloud) -> Float[Tensor, "points neighbours"]:
    """Distances of every point to its nearest others, as many as there are up to a few."""
    neighbours = min(MOST_NEIGHBOURS, len(cloud) - 1)
    points = centred(cloud.points, cloud)
    parts = []
    for first in range(0, len(points), CHUNK):
        part = points[first : first + CHUNK]
        distance = torch.cdist(part, points)
        rows = torch.arange(len(part))
        distance[rows, first + rows] = torch.inf
        parts.append(distance.topk(neighbours, largest=False).values)
    return torch.cat(parts)


def memberships(
    points: Cloud, centres: Cloud, neighbours: int
) -> tuple[Int[Tensor, " points"], Int[Tensor, " centres"]]:
    """How many balls hold each point, and how many points lie in each ball.

    A ball reaches from a centre to the `neighbours`-th nearest other centre.
    """
    radius = centres.once(radii)[:, neighbours - 1]
    middle = centred(centres.points, centres)
    per_point, per_ball = [], torch.zeros(len(centres), dtype=torch.int64)
    for part in centred(points.points, centres).split(CHUNK):
        inside = torch.cdist(part, middle) <= radius
        per_point.append(inside.sum(1))
        per_ball += inside.sum(0)
    return torch.cat(per_point), per_ball


def nearest(
    points: Float[Tensor, "points features"], others: Float[Tensor, "others features"]
) -> tuple[Float[Tensor, " points"], Int[Tensor, " points"]]:
    """Distance to the nearest of the others and its index."""
    parts = [torch.cdist(part, others).argmin(1) for part in points.split(CHUNK // 4)]
    index = torch.cat(parts)
    # Once more without the cancellation of cdist, so that a copy has distance 0.
    return (points - others[index]).norm(dim=1), index


def centred(
    points: Float[Tensor, "points features"], origin: Cloud
) -> Float[Tensor, "points features"]:
    """Points seen from the middle of a cloud, where float32 distances lose least."""
    return points - origin.points.mean(0)
