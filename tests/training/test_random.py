import numpy as np
import torch

from skvae._training import draw_seed, make_generator


def test_streams_repeat_and_differ():
    draws = [
        torch.rand(4, generator=make_generator(*stream))
        for stream in [(0, 1, 7), (0, 1, 7), (0, 1, 8), (0, 2, 7), (1, 1, 7)]
    ]
    assert torch.equal(draws[0], draws[1])
    assert all(not torch.equal(draws[0], other) for other in draws[2:])


def test_seed_depends_on_random_state():
    assert draw_seed(3) == draw_seed(np.random.RandomState(3))
    assert draw_seed(3) != draw_seed(4)
