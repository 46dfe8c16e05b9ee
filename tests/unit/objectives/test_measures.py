import pytest
import torch

from zoom_iqa.objectives.measures import Distinct, mean_of, merge, peak_of, reduce_measures, to_floats


def test_merge_weighs_by_count():
    parts = [
        {"kl": mean_of(torch.tensor([1.0, 2.0])), "ratio": peak_of(torch.tensor([1.0, 4.0]))},
        {"kl": mean_of(torch.tensor([6.0])), "ratio": peak_of(torch.tensor([2.0]))},
        {"kl": mean_of(torch.tensor([])), "extra": mean_of(torch.tensor([5.0]))},
    ]
    assert to_floats(merge(parts)) == {"kl": 3.0, "ratio": 4.0, "extra": 5.0}


def test_each_of_several_parts_weighs_alike():
    assert to_floats(merge([{"kl": mean_of(torch.tensor([value]))} for value in (1.0, 3.0, 5.0)])) == {"kl": 3.0}


def test_what_saw_nothing_is_left_out():
    assert to_floats({"kl": mean_of(torch.tensor([])), "peak": peak_of(torch.tensor([]))}) == {}


def test_a_name_keeps_its_kind():
    with pytest.raises(TypeError, match="'kl' is a Mean in one part and a Peak in another"):
        merge([{"kl": mean_of(torch.ones(1))}, {"kl": peak_of(torch.ones(1))}])


def test_ranks_reduce_to_the_whole(on_ranks):
    values = [torch.tensor([1.0, 2.0]), torch.tensor([6.0])]

    def work(rank, reducer):
        measures = {"kl": mean_of(values[rank]), "nll": mean_of(-values[rank]), "peak": peak_of(values[rank])}
        return to_floats(reduce_measures(measures, reducer=reducer))

    assert on_ranks(2, work) == [{"kl": 3.0, "nll": -3.0, "peak": 6.0}] * 2


def test_distinct_values_of_all_parts_and_processes_count_once(on_ranks):
    counts = [torch.tensor([1.0, 0.0, 2.0, 0.0]), torch.tensor([3.0, 1.0, 0.0, 0.0])]

    def work(rank, reducer):
        part = {"distinct": Distinct(counts[rank], torch.tensor(2.0))}
        return to_floats(reduce_measures(merge([part, part]), reducer=reducer))

    assert on_ranks(2, work) == [{"distinct": 3 / 8}] * 2
    assert to_floats({"none": Distinct(counts[0], torch.tensor(0.0))}) == {}


def test_measures_hold_no_graph():
    assert not mean_of(torch.ones(2, requires_grad=True) * 2).total.requires_grad
