"""Lists of sigmas that do not just fall: up, equal neighbours, one level, above 1 of FLOW."""

import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    PROCESSES,
    even_in_log,
    gaussian,
    gaussian_flow,
    load_levels,
    mixture,
    runge_kutta,
    start,
)
from sampler_rows import ROWS, TABLES, answers, quiet
from stride import samplers
from stride.engine.levels import stretches
from stride.engine.report import Recorder
from stride.samplers import FLOW, VE, Part, alternate, check_sigmas, inject
from stride.samplers.entry import ABOVE_ONE, UPWARDS
