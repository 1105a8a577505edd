import pytest

from backend.jobs.eta import CLOSING_S, Eta


def run(shares, *, seconds=1.0, eta=None, start=0.0, **budget):
    """Feed a share a second; returns (estimate, truth) pairs for a run that goes on as steadily as it began."""
    eta, found = eta or Eta(started=0.0), []
    for step, share in enumerate(shares, start=1):
        found.append(eta.update(share, now=start + step * seconds, **budget))
    return found


def test_a_steady_job_is_estimated_right_from_its_first_fiftieth():
    found = run([step / 100 for step in range(1, 100)])
    assert found[0] is None
    assert found[1:] == pytest.approx([100 - step for step in range(2, 100)], abs=0.5)


def test_a_change_of_pace_is_followed_better_than_the_mean_of_all_would():
    eta = Eta(started=0.0)
    run([step / 100 for step in range(1, 51)], eta=eta)  # 1 s a hundredth
    found = run([0.5 + step / 100 for step in range(1, 21)], eta=eta, start=50.0, seconds=5.0)  # then 5 s
    truth, mean = 30 * 5.0, 150 / 0.7 * 0.3
    assert abs(found[-1] - truth) < abs(mean - truth) / 2


def test_the_estimate_counts_down_between_reports_and_never_says_done_before_it_is():
    eta = Eta(started=0.0)
    eta.update(0.5, now=50.0)
    assert eta.update(0.5, now=60.0) == pytest.approx(40.0)
    assert eta.update(0.5, now=500.0) == pytest.approx(25.0)
    assert eta.update(1.0, now=600.0) == 0.0


def test_work_that_was_found_done_does_not_make_the_rest_look_quick():
    eta = Eta(started=0.0)
    assert eta.update(0.6, now=0.5) is None  # three candidates were finished before the restart
    found = run([0.6 + step / 100 for step in range(1, 11)], eta=eta, start=0.5, seconds=4.0)
    assert found[-1] == pytest.approx(30 * 4.0, rel=0.05)


def test_a_run_that_has_hardly_begun_says_nothing():
    eta = Eta(started=0.0)
    assert eta.update(0.05, now=0.2) is None  # the pictures were at hand: that says nothing of the training
    assert eta.update(0.05, now=20.0) is None
    assert eta.update(0.35, now=60.0) == pytest.approx(60.0 / 0.35 * 0.65, rel=0.5)


def test_no_estimate_goes_beyond_the_time_budget():
    found = run([step / 1000 for step in range(1, 51)], budget_left_s=60.0)
    assert found[-1] == 60.0 + CLOSING_S
