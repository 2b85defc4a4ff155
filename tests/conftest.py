import os
import random
import signal
import sys

import numpy as np
import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips", action="store_true", help="fail when a test was skipped, and name it"
    )


def pytest_configure(config):
    import torch

    if os.environ.get("JAXTYPING_DISABLE") == "1":
        # Even disabled its wrappers stay around every function, and not every graph can hold them.
        hooks = [finder for finder in sys.meta_path if "jaxtyping" in type(finder).__module__]
        assert hooks, "there is no hook to take away any more"
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in hooks]

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    # A suite that was itself started under `nohup` would hand its deafness on to what it starts.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_ignore_collect(collection_path, config):
    # The quick run needs none of the packages that tests/peers imports, and no graph can hold the
    # run-time check of annotations: tests/compile runs without it.
    if collection_path.name == "peers" and config.option.markexpr == "not long":
        return True
    if collection_path.name == "compile" and os.environ.get("JAXTYPING_DISABLE") != "1":
        return True
    return None


def pytest_sessionfinish(session):
    config = session.config
    if not config.getoption("no_skips") or hasattr(config, "workerinput"):
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        names = ", ".join(sorted({report.nodeid for report in skipped}))
        reporter.write_line(f"\n--no-skips: skipped {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What is kept between runs is kept by this session alone, and shared by its workers."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DANLU_CACHE", str(root / "danlu-cache"))
        yield


@pytest.fixture(autouse=True)
def _seeded():
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def narrow():
    """A disk on which no file of this process may grow beyond some bytes."""
    import resource
    from contextlib import contextmanager

    @contextmanager
    def within(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return within


@pytest.fixture
def float64():
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
