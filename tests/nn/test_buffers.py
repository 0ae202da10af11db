import threading

import torch

from skvae._nn import MLP, _buffers, reused_buffers
from skvae._nn._buffers import MIN_POOLED_BYTES, empty

LARGE = (MIN_POOLED_BYTES // 4 // 100, 200)  # twice the minimum size for reuse
LIKE = torch.empty(0)


def test_memory_is_aligned():
    with reused_buffers():
        assert empty(LARGE, like=LIKE).data_ptr() % 64 == 0


def test_memory_is_reused_once_no_tensor_uses_it():
    with reused_buffers():
        tensor = empty(LARGE, like=LIKE)
        place = tensor.data_ptr()
        view = tensor[3:]
        del tensor
        assert empty(LARGE, like=LIKE).data_ptr() != place, "a view still uses it"
        del view
        again = {empty(LARGE, like=LIKE).data_ptr() for _ in range(2)}
    assert place in again


def test_a_smaller_tensor_reuses_the_memory_of_a_larger_one():
    with reused_buffers():
        place = empty(LARGE, like=LIKE).data_ptr()
        smaller = empty((LARGE[0] - 7, LARGE[1]), like=LIKE)
        assert smaller.data_ptr() == place
        assert smaller.shape == (LARGE[0] - 7, LARGE[1])
        assert smaller.is_contiguous()


def test_memory_of_tensors_that_grow_does_not_add_up():
    with reused_buffers():
        for n_rows in range(LARGE[0], LARGE[0] + 20):
            pair = [empty((n_rows, LARGE[1]), like=LIKE) for _ in range(2)]
            del pair
        kept = [memory.size for memory in _buffers._pool.get()._unused]
    assert kept == [n_rows * LARGE[1]] * 2


def test_a_gradient_keeps_its_memory_until_it_is_dropped():
    with reused_buffers():
        weight = torch.zeros(LARGE, requires_grad=True)
        grad = empty(LARGE, like=weight).fill_(2.0)
        weight.backward(grad)
        del grad
        empty(LARGE, like=weight).fill_(-1.0)
        assert (weight.grad == 2).all()


def test_double_and_small_tensors_are_made_without_the_pool():
    with reused_buffers():
        for shape, like in ((LARGE, LIKE.double()), ((2, 3), LIKE)):
            tensor = empty(shape, like=like)
            assert (tensor.shape, tensor.dtype) == (shape, like.dtype)


def test_tensors_can_be_made_outside_of_the_block():
    assert empty(LARGE, like=LIKE).shape == LARGE


def test_each_thread_has_its_own_memory():
    with reused_buffers():
        place = empty(LARGE, like=LIKE).data_ptr()
        seen = []
        thread = threading.Thread(
            target=lambda: seen.append(empty(LARGE, like=LIKE).data_ptr())
        )
        thread.start()
        thread.join()
        assert empty(LARGE, like=LIKE).data_ptr() == place


def test_training_gives_equal_weights_inside_and_outside_the_block():
    def trained():
        generator = torch.Generator().manual_seed(0)
        net = MLP((20, 3000), activation="tanh", dropout=0.0, generator=generator)
        adam = torch.optim.Adam(net.parameters())
        x = torch.randn(150, 20, generator=generator)
        for _ in range(4):
            adam.zero_grad()
            net(x).square().sum().backward()
            adam.step()
        return net.layers[0].weight.detach()

    outside = trained()
    with reused_buffers():
        assert torch.equal(trained(), outside)
