"""Feature networks of one's own, which come as ONNX."""

import numpy as np
import pytest
import torch

from danlu.contracts import DanluError
from danlu.data import open_source
from danlu.evaluation.features import feature_spaces, from_file

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def digits():
    return open_source("digits")


def written(path, shape, features=5, batch="n", kind=onnx.TensorProto.FLOAT, **rest):
    """A linear map of flattened examples, written by hand, and its weights."""
    size = int(np.prod(shape))
    weights = np.random.default_rng(0).normal(size=(size, features)).astype(np.float32)
    ends = [
        onnx.helper.make_tensor_value_info("x", kind, [batch, *shape]),
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [batch, features]),
    ]
    nodes = [
        onnx.helper.make_node("Flatten", ["x"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    tensor = onnx.numpy_helper.from_array(weights, "w")
    graph = onnx.helper.make_graph(nodes, "net", ends[:1], ends[1:], [tensor])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path, **rest)
    return torch.from_numpy(weights)


BESIDE = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}


@pytest.mark.parametrize("beside", [{}, BESIDE], ids=["in one file", "weights beside it"])
def test_a_network_from_a_file(digits, tmp_path, beside):
    path = tmp_path / "net.onnx"
    weights = written(path, (1, 8, 8), **beside)
    x = digits.test.x()
    space = from_file(path, digits.description)
    assert space.name == "net"
    for n in (1, 2, 300):
        torch.testing.assert_close(space.features(x[:n]), x[:n].flatten(1) @ weights)
    if beside:
        content = bytearray((tmp_path / "net.data").read_bytes())
        content[0] ^= 1
        (tmp_path / "net.data").write_bytes(content)
        assert from_file(path, digits.description).hash != space.hash


def test_a_network_that_does_not_fit_is_told(digits, tmp_path):
    path = tmp_path / "net.onnx"
    written(path, (3, 16, 16))
    with pytest.raises(DanluError, match=r"shape \(3, 16, 16\); this data has \(1, 8, 8\)"):
        from_file(path, digits.description)
    written(path, (1, 8, 8), batch=7)
    with pytest.raises(DanluError, match="batches of exactly 7; export it with a free batch"):
        from_file(path, digits.description)
    written(path, (1, 8, 8), kind=onnx.TensorProto.DOUBLE)
    with pytest.raises(DanluError, match=r"cannot be run|takes float32"):
        from_file(path, digits.description)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link"])
def test_a_network_never_reads_outside_of_its_folder(digits, tmp_path, location):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4 * 64 * 5))
    (home / "link").symlink_to(tmp_path / "secret")
    path = home / "net.onnx"
    written(path, (1, 8, 8), **BESIDE)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DanluError, match="which is not inside of it"):
        from_file(path, digits.description)


def test_a_file_that_is_no_network(digits, tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(DanluError, match="There is no feature network"):
        from_file(path, digits.description)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DanluError, match="is no network in the ONNX format"):
        from_file(path, digits.description)
    with pytest.raises(DanluError, match="must not be called 'pixels'"):
        feature_spaces(open_source("rings"), tmp_path / "pixels.onnx")
