"""Layers that networks and mixers are made of; each can be taken alone."""

from danlu.layers.attention import attend, attend_causally, attend_in_window
from danlu.layers.codebook import Codebook
from danlu.layers.convolution import ResidualBlock, SelfAttention2d
from danlu.layers.feed_forward import MLP, GatedMLP
from danlu.layers.norms import HeadNorm, LayerNorm, RMSNorm
from danlu.layers.packing import document_ids, pack, unpack
from danlu.layers.recompute.reversible import Reversible
from danlu.layers.scans.delta import delta_scan
from danlu.layers.scans.mean import mean_scan
from danlu.layers.scans.normalised import normalised_scan
from danlu.layers.scans.scalar import scalar_scan
from danlu.layers.scans.vector import vector_scan
from danlu.layers.shift import ShortConvolution
from danlu.layers.time import TimeEmbedding

__all__ = [
    "MLP",
    "Codebook",
    "GatedMLP",
    "HeadNorm",
    "LayerNorm",
    "RMSNorm",
    "ResidualBlock",
    "Reversible",
    "SelfAttention2d",
    "ShortConvolution",
    "TimeEmbedding",
    "attend",
    "attend_causally",
    "attend_in_window",
    "delta_scan",
    "document_ids",
    "mean_scan",
    "normalised_scan",
    "pack",
    "scalar_scan",
    "unpack",
    "vector_scan",
]
