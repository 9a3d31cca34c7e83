"""VE and FLOW: a closed set of two, and what their levels are in each other's terms."""

import copy
import math
import pickle

import pytest
from problems import PROCESSES
from stride.samplers import FLOW, VE, Process


def test_there_are_two_processes_and_each_is_itself():
    """Code asks ``process is FLOW``: a copy must be the same object."""
    assert list(Process) == [VE, FLOW] and [p.name for p in Process] == ["VE", "FLOW"]
    for process in Process:
        assert Process(process.name) is process
        assert copy.deepcopy({"a": process})["a"] is process is copy.copy(process)
        assert pickle.loads(pickle.dumps(process)) is process
        assert {process: 1}[process] == 1
    assert VE != FLOW
    for name in ("FLOOW", "flow", "", None, 1.0):
        with pytest.raises(ValueError, match="a process is VE or FLOW, got"):
            Process(name)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("sigma", [0.02, 0.5, 0.97])
def test_a_level_in_other_terms(process, sigma):
    alpha = 1.0 if process is VE else 1.0 - sigma
    assert process.alpha(sigma) == alpha
    assert process.ratio(sigma) == sigma / alpha
    assert process.log_snr(sigma) == pytest.approx(-math.log(process.ratio(sigma)), abs=1e-15)
    assert process.sigma_at(process.log_snr(sigma)) == pytest.approx(sigma)


def test_the_ends_of_the_range():
    assert VE.ratio(1.0) == 1.0 and FLOW.ratio(1.0) == math.inf
    assert FLOW.log_snr(1.0) == -math.inf
    for process in Process:
        assert process.log_snr(0.0) == math.inf and process.ratio(0.0) == 0.0
        assert process.sigma_at(800.0) == math.exp(-800.0)
