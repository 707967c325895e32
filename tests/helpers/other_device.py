"""A device that is not the CPU's, on a machine without one: what a GPU would refuse is noted.

Its name is the CPU with an index, which torch keeps and otherwise pays no heed to. Whatever lies in
the memory of a tensor that was moved there is there, until `.cpu()` or `.to("cpu")` takes a copy.
"""

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from utils.training.fitting import find_tensors

CPU, THERE = torch.device("cpu"), torch.device("cpu", 0)
TO, NUMPY, ARRAY = torch.Tensor.to, torch.Tensor.numpy, torch.Tensor.__array__
TENSOR, AS_TENSOR, DEVICE = torch.tensor, torch.as_tensor, torch.Tensor.device
# These take a tensor of the CPU beside one of a GPU.
COPYING = {"_to_copy", "copy_"}
PICKING = {"index", "index_put", "index_put_", "_index_put_impl_"}  # by codes, from what is there


class OtherDevice(TorchDispatchMode):
    """Knows which tensors are there, and notes what a GPU could not do with them in `faults`.

    That is float64 (Apple's have none), a generator of the CPU, numpy on their memory, and an
    operator whose tensors are partly there and partly not; single numbers may be anywhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[int, StorageWeakRef] = {}  # which keeps an address from being used again
        self.marked, self.faults = 0, []

    def has(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self.memory

    def mark(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        self.memory[storage._cdata] = StorageWeakRef(storage)
        self.marked += 1
        return tensor

    def move(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Copies a tensor to a device, unless it is there."""
        if self.has(tensor) == (device == THERE):
            return tensor
        copy = tensor.clone()  # its mark is the tensor's own
        if device == THERE:
            return self.mark(copy)
        del self.memory[copy.untyped_storage()._cdata]
        return copy

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        asked, name = kwargs.get("device"), function.__name__.split(".")[0]
        inputs = list(find_tensors((*args, *kwargs.values())))
        there = [x.dim() == 0 or self.has(x) for x in inputs]  # a single number is anywhere
        if not (asked == THERE or any(map(self.has, inputs))):
            return result
        if not (all(there) or name in COPYING or (name in PICKING and there[0])):
            self.faults.append(f"{function} takes tensors of both devices")
        if kwargs.get("generator") is not None:
            self.faults.append(f"{function} takes a generator")
        for output in find_tensors(result):
            self.mark(output)
            if output.dtype == torch.float64:
                self.faults.append(f"{function} makes float64")
        return result

    def install(self, monkeypatch) -> None:
        """Lets tensors move there, say that they are, and be made there."""

        def to(tensor, *args, **kwargs):
            moved, where = TO(tensor, *args, **kwargs), tensor.device
            for asked in (*args, *kwargs.values()):
                if isinstance(asked, str | torch.device):
                    where = torch.device(asked)
                elif isinstance(asked, torch.Tensor):
                    where = asked.device
            return self.move(moved, where)

        def refuse_memory(original):
            def read(tensor, *args, **kwargs):
                if self.has(tensor):
                    self.faults.append("numpy reads the memory of the device")
                return original(tensor, *args, **kwargs)

            return read

        def make(original):
            def made(*args, device=None, **kwargs):
                tensor = original(*args, **kwargs)
                return tensor if device is None else to(tensor, device)

            return made

        def move_all(original):
            def backward(ctx, *gradients):
                where = THERE if any(map(self.has, gradients)) else CPU
                return original(ctx, *(self.move(gradient, where) for gradient in gradients))

            return staticmethod(backward)

        for name, stand_in in {
            "to": to,
            "cpu": lambda tensor: self.move(tensor, CPU),
            "numpy": refuse_memory(NUMPY),
            "__array__": refuse_memory(ARRAY),
            "device": property(lambda tensor: THERE if self.has(tensor) else CPU),
        }.items():
            monkeypatch.setattr(torch.Tensor, name, stand_in, raising=False)
        for function in torch.autograd.Function.__subclasses__():
            if function.__module__.startswith("models."):  # autograd makes zeros for it, unseen
                monkeypatch.setattr(function, "backward", move_all(function.backward))
        monkeypatch.setattr(torch, "tensor", make(TENSOR))
        monkeypatch.setattr(torch, "as_tensor", make(AS_TENSOR))
