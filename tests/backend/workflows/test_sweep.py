"""Many runs one after the other: rows, numbered folders, a summary that grows."""

import csv
import io

import pytest
import service_fakes

from backend.contracts.experiment import Experiment
from backend.errors import DatasetError, RecipeError
from backend.workflows.sweep import SUMMARY_FILE, SweepRow, as_csv, require_sense, run_sweep

PLANNED = [({"loss.gamma": text}, {"overrides": {"loss.gamma": int(text)}}) for text in ("1", "2", "3")]
EXPERIMENT = Experiment(network="lite0", timm_name="lite0", best_epoch=4, best_validation={"macro_f1": 0.75})


def results(**more):
    return service_fakes.results_record(experiment=EXPERIMENT, **more)


def test_each_run_has_a_numbered_folder_and_a_row_that_says_what_came_of_it(tmp_path):
    seen = []

    def train(options, folder):
        seen.append((options["overrides"]["loss.gamma"], folder.name))
        return results(), folder

    rows = run_sweep(PLANNED, out=tmp_path, train=train, on_row=lambda row: None)
    assert seen == [(1, "1"), (2, "2"), (3, "3")]
    assert [(row.run, row.swept, row.status, row.best_epoch, row.val_macro_f1) for row in rows] == [
        (str(number), {"loss.gamma": str(number)}, "ok", 4, 0.75) for number in (1, 2, 3)
    ]
    assert rows[0].macro_f1 == results().test.macro_f1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DatasetError("Too few\nimages."), "Too few images."),
        (RuntimeError("no kernel image"), "RuntimeError: no kernel image"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
    ],
)
def test_a_run_that_fails_is_a_row_and_the_others_go_on(tmp_path, error, reason):
    def train(options, folder):
        if options["overrides"]["loss.gamma"] == 2:
            raise error
        return results(), folder

    rows = run_sweep(PLANNED, out=tmp_path, train=train, on_row=lambda row: None)
    assert [row.status for row in rows] == ["ok", "failed", "ok"]
    assert rows[1].reason == reason


def test_who_stops_a_sweep_keeps_the_summary_of_what_had_ended(tmp_path):
    def train(options, folder):
        if options["overrides"]["loss.gamma"] == 3:
            raise KeyboardInterrupt
        return results(), folder

    told = []
    with pytest.raises(KeyboardInterrupt):
        run_sweep(PLANNED, out=tmp_path, train=train, on_row=told.append)
    assert [row.run for row in told] == ["1", "2"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / SUMMARY_FILE).read_text())))
    assert [(row["run"], row["loss.gamma"], row["status"], row["best_epoch"]) for row in rows] == [
        ("1", "1", "ok", "4"),
        ("2", "2", "ok", "4"),
    ]


def test_folders_of_many_runs_stand_in_their_order(tmp_path):
    planned = [({"seed": str(seed)}, {"seed": seed}) for seed in range(12)]
    rows = run_sweep(planned, out=tmp_path, train=lambda options, folder: (results(), folder), on_row=lambda row: None)
    assert [row.run for row in rows] == sorted(row.run for row in rows)
    assert rows[0].run == "01"


def test_a_table_leaves_out_what_no_run_has_and_keeps_a_nought():
    rows = [
        SweepRow(run="1", swept={"seed": "1"}, status="ok", network="a, b", best_epoch=0),
        SweepRow(run="2", swept={"seed": "2"}, status="ok", network="c", best_epoch=0),
    ]
    assert as_csv(rows) == 'run,seed,status,network,best_epoch\n1,1,ok,"a, b",0\n2,2,ok,c,0\n'


def test_a_value_that_no_run_could_have_is_refused_before_the_first_begins():
    bad = ({"loss.gamma": "-1"}, {"overrides": {"loss.gamma": -1}})
    with pytest.raises(RecipeError, match=r"'loss\.gamma' does not fit.*the run with loss\.gamma=-1; none was begun"):
        require_sense([*PLANNED, bad])


def test_values_that_only_the_data_can_judge_are_left_to_the_runs():
    loss = {"loss.type": "bce", "loss.gamma": 2}
    require_sense([*PLANNED, ({"loss.type": "bce"}, {"overrides": loss})])
