"""Makes a checkpoint of the exam-level network with seeded random weights and few filters, and computes with numpy what it gives.

The network is written down here from its description alone: one trunk an angle; the mean of each channel of the left and of the right breast in
a row; linear, relu, linear; (left benign, right benign, left malignant, right malignant) x (no, yes); log-softmax. The checkpoint is written in
PyTorch's older format, as `torch.save(..., _use_new_zipfile_serialization=False)` would, without PyTorch.
"""

import collections
import json
import pickle
import struct
import sys
import types

import numpy as np

FILTERS = (2, 3, 2, 3, 2)
STRIDES = (1, 2, 2, 2, 2)
ROWS, COLUMNS = 96, 64
HIDDEN = 5


def pixel(side, y, x):
    """What the network is given of a breast, side 0 for left and 1 for right."""
    return ((y * 31 + x * 17 + y * x * 7 + side * 101) % 257) / 128 - 1


def trunk(draw, name, tensors):
    def normal(part, *shape):
        fan = np.prod(shape[1:])
        tensors[f"{name}.{part}"] = draw.normal(0, np.sqrt(2 / fan), shape)

    def normalisation(part, channels):
        for numbers, low, high in (("weight", 0.6, 1.4), ("bias", -0.4, 0.4), ("running_mean", -0.4, 0.4), ("running_var", 0.6, 1.4)):
            tensors[f"{name}.{part}.{numbers}"] = draw.uniform(low, high, channels)

    normal("first_conv.weight", FILTERS[0], 1, 7, 7)
    channels = FILTERS[0]
    for stage, filters in enumerate(FILTERS):
        for block in range(2):
            at = f"layer_list.{stage}.{block}"
            normalisation(f"{at}.bn1", channels)
            normal(f"{at}.conv1.weight", filters, channels, 3, 3)
            normalisation(f"{at}.bn2", filters)
            normal(f"{at}.conv2.weight", filters, filters, 3, 3)
            if block == 0:
                normal(f"{at}.downsample.0.weight", filters, channels, 1, 1)
            channels = filters
    normalisation("final_bn", channels)


def convolution(x, weight, stride, padding):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = weight.shape[2]
    rows, columns = ((length - size) // stride + 1 for length in x.shape[1:])
    out = np.zeros((weight.shape[0], rows, columns))
    for dy in range(size):
        for dx in range(size):
            part = x[:, dy : dy + stride * rows : stride, dx : dx + stride * columns : stride]
            out += np.einsum("oc,cyx->oyx", weight[:, :, dy, dx], part)
    return out


def pooled(x):
    rows, columns = ((length - 3) // 2 + 1 for length in x.shape[1:])
    parts = [x[:, dy : dy + 2 * rows : 2, dx : dx + 2 * columns : 2] for dy in range(3) for dx in range(3)]
    return np.max(parts, axis=0)


def features(tensors, name, x):
    def get(part):
        return tensors[f"{name}.{part}"].astype(np.float64)

    def active(part, x):
        scale = get(f"{part}.weight") / np.sqrt(get(f"{part}.running_var") + 1e-5)
        moved = get(f"{part}.bias") - get(f"{part}.running_mean") * scale
        return np.maximum(x * scale[:, None, None] + moved[:, None, None], 0)

    x = pooled(convolution(x, get("first_conv.weight"), 2, 0))
    for stage, first_stride in enumerate(STRIDES):
        for block in range(2):
            at = f"layer_list.{stage}.{block}"
            stride = first_stride if block == 0 else 1
            a = active(f"{at}.bn1", x)
            residual = convolution(a, get(f"{at}.downsample.0.weight"), stride, 0) if block == 0 else x
            inner = active(f"{at}.bn2", convolution(a, get(f"{at}.conv1.weight"), stride, 1))
            x = convolution(inner, get(f"{at}.conv2.weight"), 1, 1) + residual
    return active("final_bn", x).mean((1, 2))


def angle(tensors, name):
    """The probability of yes for left benign, right benign, left malignant, right malignant."""
    breasts = [np.array([[[pixel(side, y, x) for x in range(COLUMNS)] for y in range(ROWS)]]) for side in (0, 1)]
    row = np.concatenate([features(tensors, f"four_view_resnet.{name}", breast.astype(np.float32)) for breast in breasts])
    layer = {part: tensors[part].astype(np.float64) for part in tensors}
    hidden = np.maximum(layer[f"fc1_{name}.weight"] @ row + layer[f"fc1_{name}.bias"], 0)
    last = f"output_layer_{name}.fc_layer"
    pairs = (layer[f"{last}.weight"] @ hidden + layer[f"{last}.bias"]).reshape(4, 2)
    exponentials = np.exp(pairs - pairs.max(1, keepdims=True))
    return (exponentials / exponentials.sum(1, keepdims=True))[:, 1]


class Writer(pickle.Pickler):
    """Writes arrays as PyTorch writes tensors."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = {}

    def persistent_id(self, value):
        if isinstance(value, Storage):
            self.storages[value.key] = value.array
            return ("storage", sys.modules["torch"].FloatStorage, value.key, "cpu", value.array.size, None)
        return None

    def reducer_override(self, value):
        if isinstance(value, np.ndarray):
            strides = tuple(stride // value.itemsize for stride in value.strides)
            storage = Storage(str(len(self.storages)), value)
            arguments = (storage, 0, value.shape, strides, False, collections.OrderedDict())
            return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments
        return NotImplemented


class Storage:
    def __init__(self, key, array):
        self.key, self.array = key, array


def stand_in():
    """Names for the pickle to refer to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    class FloatStorage:
        pass

    def _rebuild_tensor_v2(*_):
        raise NotImplementedError

    for thing, module in ((FloatStorage, torch), (_rebuild_tensor_v2, utils)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
    torch._utils = utils
    sys.modules |= {"torch": torch, "torch._utils": utils}


def save(path, tensors):
    stand_in()
    with open(path, "wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(value, file, protocol=2)
        writer = Writer(file)
        writer.dump({"model": collections.OrderedDict(tensors)})
        keys = sorted(writer.storages)
        pickle.dump(keys, file, protocol=2)
        for key in keys:
            array = writer.storages[key]
            file.write(struct.pack("<q", array.size) + array.astype("<f4").tobytes())


def main():
    draw = np.random.default_rng(22)
    tensors = {}
    for name in ("cc", "mlo"):
        trunk(draw, f"four_view_resnet.{name}", tensors)
        for layer, rows, columns, gain in (
            (f"fc1_{name}", HIDDEN, 2 * FILTERS[-1], 1.0),
            (f"output_layer_{name}.fc_layer", 8, HIDDEN, 2.0),
        ):
            tensors[f"{layer}.weight"] = draw.normal(0, gain * np.sqrt(2 / columns), (rows, columns))
            tensors[f"{layer}.bias"] = draw.normal(0, 0.3, rows)
    tensors = {name: numbers.astype(np.float32) for name, numbers in tensors.items()}
    save("exam.p", tensors)
    with open("exam.json", "w") as file:
        json.dump({name: angle(tensors, name).tolist() for name in ("cc", "mlo")}, file, indent=1)
        file.write("\n")


main()
