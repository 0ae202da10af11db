import threading

import pytest
import torch
from torch import nn

from skvae._nn import CustomNetwork


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(factory=nn.Linear, seed=0):
    return CustomNetwork(factory, 3, 2, name="encoder", generator=generator(seed))


def test_weights_depend_on_the_generator_and_the_global_one_is_unchanged():
    before = torch.get_rng_state()
    one, same, other = make(), make(), make(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.module.weight, same.module.weight)
    assert not torch.equal(one.module.weight, other.module.weight)


def test_weights_are_the_same_in_many_threads():
    made = [None] * 8

    def work(i):
        made[i] = [make(seed=5) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = make(seed=5).module.weight
    for networks in made:
        for network in networks:
            assert torch.equal(network.module.weight, expected)


def test_noise_of_torch_dropout_depends_on_the_generator():
    network = make(lambda n_in, n_out: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)))
    x = torch.ones(50, 3)
    before = torch.get_rng_state()
    one, same, other = (network(x, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    network.eval()
    assert torch.equal(network(x), network(x))


def test_factories_without_a_module_or_with_a_wrong_width_are_refused():
    with pytest.raises(TypeError, match=r"encoder\(3, 2\) returned int"):
        make(lambda n_in, n_out: n_in)
    network = make(lambda n_in, n_out: nn.Linear(n_in, n_out + 1))
    with pytest.raises(ValueError, match=r"shape \(4, 3\).*must be \(4, 2\)"):
        network(torch.ones(4, 3))
