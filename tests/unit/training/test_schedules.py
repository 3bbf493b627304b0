"""Equations 14-15 and the fixed weights, epoch by epoch."""

import pytest

from mmran.config.experiment import ScheduleSpec
from mmran.errors import UserError
from mmran.training.schedules import SCHEDULES, TaskWeights, dynamic, fixed, freeze, task_weights


def test_fixed_weights_do_not_change():
    assert [fixed(epoch, 240, alpha=0.2) for epoch in (0, 239)] == [TaskWeights(0.8, 0.2)] * 2


def test_freeze_trains_each_task_for_a_third_and_then_both():
    # Eq. 14: N = 240 / (2 + 1) = 80.
    weights = [freeze(epoch, 240) for epoch in range(240)]
    assert weights[:80] == [(1, 0)] * 80
    assert weights[80:160] == [(0, 1)] * 80
    assert weights[160:] == [(0.5, 0.5)] * 80


def test_freeze_of_epochs_that_three_does_not_divide_has_all_phases_in_order():
    # N = 10 / 3: phases start at the first epochs not before 0, 3.33 and 6.67.
    assert [freeze(epoch, 10).segmentation for epoch in range(10)] == [1] * 4 + [0] * 3 + [0.5] * 3


def test_dynamic_begins_with_segmentation_alone_and_rises_by_one_nth():
    assert dynamic(0, 240) == (1, 0)
    assert dynamic(60, 240) == (0.75, 0.25)
    assert dynamic(239, 240).classification == 239 / 240


OPTIONS = {"fixed": {"alpha": 0.3}, "freeze": {}, "dynamic": {}}


@pytest.mark.parametrize("name", SCHEDULES)
def test_weights_add_up_to_one_in_every_epoch(name):
    schedule = ScheduleSpec(name, **OPTIONS[name])
    assert all(sum(task_weights(schedule, epoch, 30)) == pytest.approx(1) for epoch in range(30))


@pytest.mark.parametrize("epoch", [-1, 240])
@pytest.mark.parametrize("name", SCHEDULES)
def test_epoch_outside_the_training_is_refused(name, epoch):
    with pytest.raises(ValueError, match=rf"epoch {epoch} is outside 0\.\.239"):
        SCHEDULES[name](epoch, 240, **OPTIONS[name])


def test_mistaken_values_name_option_and_range():
    with pytest.raises(UserError, match=r"alpha: 1\.2 is not within 0\.\.1"):
        fixed(0, 240, alpha=1.2)
    with pytest.raises(
        UserError, match="schedule: 'cosine' is unknown; known: dynamic, fixed, freeze; or name your own"
    ):
        task_weights(ScheduleSpec("cosine"), 0, 240)
