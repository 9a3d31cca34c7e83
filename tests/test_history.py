"""Which earlier answers a step may use, and where they lie in it."""

import math

import pytest
from stride.samplers.history import History, Known, nodes


def test_the_newest_answers_come_first_and_are_counted():
    history = History()
    for row, time in enumerate((-4.0, -3.0, -1.0, 0.5, 1.0, 2.0, 4.0)):
        history.add(row, time)
    assert history.latest(2) == [Known(6, 4.0), Known(5, 2.0)]
    assert [row for row, _ in history.latest(99)] == [6, 5, 4, 3, 2, 1]  # the oldest is forgotten
    assert nodes(history.latest(3), 4.0, 2.0) == [0.0, -1.0, -1.5]
    assert nodes(history.latest(3), 2.0, 2.0) == [1.0, 0.0, -0.5]  # its end known


def test_no_polynomial_goes_through_infinity():
    """A FLOW start is answered once, alone, and nothing reaches back past it."""
    history = History()
    history.add("start", -math.inf)
    assert history.latest(3, math.inf) == [Known("start", -math.inf)]
    history.add("next", 1.0)
    assert history.latest(3, 0.5) == [Known("next", 1.0)]
    history.add("last", 2.0)
    assert [answer for answer, _ in history.latest(3, 0.5)] == ["last", "next"]
    assert [answer for answer, _ in history.latest(3, math.inf)] == ["last"]  # to sigma 0


def test_a_clock_that_starts_anew_with_each_step():
    history = History()
    for row, h in enumerate((0.5, 2.0, 1.0)):
        history.add(row)
        places = nodes(history.latest(3, h), 0.0, h)
        history.pass_by(h)
    assert places == [0.0, -2.0, -2.5]
    history.add(3)
    assert history.latest(4)[1:] == [Known(2, -1.0), Known(1, -3.0), Known(0, -3.5)]
    history.pass_by(math.inf)
    history.add(4)
    assert history.latest(4) == [Known(4, 0.0)]


@pytest.mark.parametrize("answers", [1, 3])
def test_an_answer_is_renewed_where_it_was_given(answers):
    history = History()
    for row in range(answers):
        history.add(row, float(row))
    history.renew("again")
    assert history.latest(1) == [Known("again", answers - 1.0)]
    assert len(history.latest(9)) == answers
