"""Makes the checkpoints of this folder with PyTorch itself (they are of 2.15.0), and says what is in them."""

import collections
import json

import torch

torch.manual_seed(0)
layers = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
state = collections.OrderedDict(layers.state_dict())
state["part"] = base[1:3, 2:5]
state["transposed"] = base.t()
state["half"] = torch.ones(2, dtype=torch.half)
state["parameter"] = torch.nn.Parameter(base[0])
state["scalar"] = torch.tensor(2.5)
for name, zipped in [("stream", False), ("zip", True)]:
    torch.save({"model": state, "epoch": 3, "rate": 0.1}, f"{name}.p", _use_new_zipfile_serialization=zipped)
torch.save(layers.state_dict(), "bare.p")
floats = {name: tensor for name, tensor in state.items() if tensor.dtype == torch.float32}
with open("tensors.json", "w") as file:
    json.dump({name: [list(t.shape), t.detach().contiguous().flatten().tolist()] for name, t in floats.items()}, file)
    file.write("\n")
