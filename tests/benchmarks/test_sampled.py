"""The comparison of the sampled with the exact loss: its report."""

from types import SimpleNamespace

from benchmarks.scale import sampled


def test_the_time_to_a_score_is_that_of_the_first_epoch_that_reaches_it():
    curve = [(1.0, 0.1), (2.0, 0.3), (3.0, 0.2)]
    assert sampled.time_to(0.2, curve) == 2.0
    assert sampled.time_to(0.4, curve) is None


def test_the_report_compares_the_last_epochs():
    options = SimpleNamespace(
        name="one", components=2, sampled_items=3, epochs=5, init="linear"
    )
    curves = {
        "all": [(10.0, 0.1), (20.0, 0.2)],
        "sampled": [(1.0, 0.1), (2.0, 0.198)],
    }
    text = sampled.report(options, (7, 9), curves)
    assert "takes 0.100 of the time" in text
    assert "after 2 of 5 epochs is 0.990" in text
    assert "0.1960, is reached after 2 s, and with all items after 20 s: 0.100" in text
    assert "and 0.100 of that of all epochs" in text


def test_a_score_that_is_not_reached_gives_no_time():
    options = SimpleNamespace(
        name="one", components=2, sampled_items=3, epochs=2, init="linear"
    )
    curves = {name: [(1.0, 0.5), (2.0, 0.5)] for name in ("all", "sampled")}
    curves["sampled"] = [(1.0, 0.1), (1.5, 0.2)]
    text = sampled.report(options, (7, 9), curves)
    assert "98 %" not in text
