#!/usr/bin/env python3
"""Trains the demonstration model on crops of synthetic mammograms. Synthetic images only: not for patients.

    train.py --data DIR --checkpoint FILE --metrics FILE [--seed N] [--steps N] [--threads N]

DIR has the folders warmup, train, validation and heldout, as the example draw_crops of crates/imaging writes them (README.md, beside this
file, has the commands). The checkpoint is what `cloister model convert` reads. The validation images
show how training goes; the held-out ones are looked at once, after the last step.

Needs torch, numpy and onnx. The same seed, versions and number of threads give the same weights on the same processor.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

# The published network has 16, 32, 64, 128 and 256.
FILTERS = (8, 16, 32, 48, 64)
STRIDES = (1, 2, 2, 2, 2)
ANGLES = ("cc", "mlo")
# Steps over which the learning rate rises, and how much of the averaged weights each step keeps.
RISE = 100
DECAY = 0.98
# Which axes a crop is mirrored along, beside itself.
AXES = ((2,), (3,), (2, 3))
# The network's labels are named by its format. Here they mean what is drawn.
LABELS = {"benign": "calcifications", "malignant": "masses"}


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, filters, 3, stride or 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        if stride:
            self.downsample = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False))

    def forward(self, x):
        active = functional.relu(self.bn1(x))
        residual = self.downsample(active) if hasattr(self, "downsample") else x
        return self.conv2(functional.relu(self.bn2(self.conv1(active)))) + residual


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.first_conv = nn.Conv2d(1, FILTERS[0], 7, 2, bias=False)
        self.layer_list = nn.ModuleList()
        channels = FILTERS[0]
        for filters, stride in zip(FILTERS, STRIDES):
            self.layer_list.append(nn.Sequential(Block(channels, filters, stride), Block(filters, filters, None)))
            channels = filters
        self.final_bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = functional.max_pool2d(self.first_conv(x), 3, 2)
        for stage in self.layer_list:
            x = stage(x)
        return functional.relu(self.final_bn(x))


class Network(nn.Module):
    """One trunk and one pair of last layers for all four views: drawn findings look alike in each."""

    def __init__(self):
        super().__init__()
        self.trunk = Trunk()
        self.fc1 = nn.Linear(FILTERS[-1], FILTERS[-1])
        self.output = nn.Linear(FILTERS[-1], 2 * len(LABELS))

    def forward(self, x):
        return self.scored(self.trunk(x))[0]

    def scored(self, picture):
        """What is said of the trunk's last picture, and for each label which cells made it say so: docs/maps.md has the formula. Unlike a
        map there, these have both signs."""
        hidden = self.fc1(picture.mean((2, 3)))
        output = self.output(functional.relu(hidden)).float().view(-1, len(LABELS), 2)
        rows = self.output.weight.view(len(LABELS), 2, -1)
        slopes = ((rows[:, 1] - rows[:, 0])[None] * (hidden > 0)[:, None]) @ self.fc1.weight
        return functional.log_softmax(output, dim=2), torch.einsum("nlk,nkij->nlij", slopes.float(), picture.float())


def unevenness(maps, mirrored, axes):
    """How far the maps of mirrored crops are from the mirrored maps: 0 if they are the same, about 1 if they have nothing in common."""
    apart = (maps - mirrored.flip(axes)).square().sum((2, 3))
    return (apart / (maps.square() + mirrored.square()).sum((2, 3)).clamp_min(1e-6)).mean()


@torch.no_grad()
def calibrated(network, part, batches=30, size=32):
    """The network once for each angle, its normalisations' means and variances measured on that angle's crops: batches are of one
    angle, so that those gathered in training fit neither."""
    networks = {}
    for angle in ANGLES:
        networks[angle] = copy.deepcopy(network).train()
        for module in networks[angle].modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                # A plain mean over all batches.
                module.momentum = None
        for rows in np.random.default_rng(0).permutation(len(part.crops[angle]))[: batches * size].reshape(-1, size):
            networks[angle](part.batch(angle, rows)[0])
        networks[angle].eval()
    return networks


def checkpoint(networks):
    """The tensors under the names that the four-view network's checkpoint has: a trunk for each angle, last layers for each view."""
    tensors = {}

    def add(name, module):
        for part, tensor in module.state_dict().items():
            if not part.endswith("num_batches_tracked"):
                tensors[f"{name}.{part}"] = tensor.detach().clone().contiguous()

    for angle, network in networks.items():
        add(f"four_view_resnet.{angle}", network.trunk)
        for side in "lr":
            add(f"fc1_{side}{angle}", network.fc1)
            add(f"output_layer_{side}{angle}.fc_layer", network.output)
    return {"model": tensors}


def continued(network, file):
    """Takes the weights from a checkpoint, or from a package's l-cc.onnx, whose tensors have the same names. The normalisations'
    means and variances are measured anew in any case."""
    if file.suffix == ".onnx":
        tensors = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in onnx.load(file).graph.initializer}
    else:
        tensors = torch.load(file)["model"]
    names = {"trunk": "four_view_resnet.cc", "fc1": "fc1_lcc", "output": "output_layer_lcc.fc_layer"}
    for part, name in names.items():
        prefix = f"{name}."
        state = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        getattr(network, part).load_state_dict(state, strict=False)


class Part:
    """The crops of one folder, and 0 or 1 for each label."""

    def __init__(self, folder):
        self.crops, self.labels = {}, {}
        for angle in ANGLES:
            self.crops[angle] = np.load(folder / f"{angle}.npy", mmap_mode="r")
            table = np.genfromtxt(folder / f"{angle}.csv", delimiter=",", names=True, dtype=None, encoding="ascii")
            columns = [table[drawn] > 0 for drawn in LABELS.values()]
            self.labels[angle] = torch.from_numpy(np.stack(columns, 1).astype(np.int64))
            assert len(self.crops[angle]) == len(self.labels[angle])

    def batch(self, angle, rows):
        rows = np.sort(rows)
        return torch.from_numpy(self.crops[angle][rows])[:, None], self.labels[angle][rows]

    def batches(self, size, generator):
        """Every crop once, in batches of one angle: their windows differ."""
        batches = []
        for angle in ANGLES:
            order = generator.permutation(len(self.crops[angle]))
            batches += [(angle, order[at : at + size]) for at in range(0, len(order) - size + 1, size)]
        generator.shuffle(batches)
        return batches


def auc(scores, truth):
    """The area under the ROC curve: how often a positive scores above a negative, ties counting half."""
    positive, negative = scores[truth], scores[~truth]
    return float(((positive[:, None] > negative).mean() + (positive[:, None] >= negative).mean()) / 2)


@torch.no_grad()
def measure(networks, part):
    scores, truth, figures = [], [], {}
    for angle in ANGLES:
        count = len(part.crops[angle])
        outputs = [
            networks[angle](part.batch(angle, np.arange(at, min(at + 32, count)))[0]).exp()[:, :, 1] for at in range(0, count, 32)
        ]
        scores.append(torch.cat(outputs).numpy())
        truth.append(part.labels[angle].numpy() > 0)
    for name, s, t in [*zip(ANGLES, scores, truth), ("all", np.concatenate(scores), np.concatenate(truth))]:
        figures[name] = {"images": len(s)}
        for at, label in enumerate(LABELS):
            figures[name][label] = {"positive": int(t[:, at].sum()), "auc": round(auc(s[:, at], t[:, at]), 4)}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--warmup-steps", type=int, default=288)
    parser.add_argument("--fall", type=int, default=0, help="steps at the end over which the learning rate falls to 0")
    parser.add_argument("--start", type=Path, help="a checkpoint or l-cc.onnx to start from, instead of random weights")
    parser.add_argument("--every", type=int, default=200, help="steps between two looks at the validation images")
    parser.add_argument("--batch", type=int, default=8, help="crops a step, each of which is shown mirrored as well")
    parser.add_argument("--even", type=float, default=0.5, help="how much it costs that the map of a mirrored crop is not the mirrored map")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(True)
    # Costly, and only hides reads of what was never written.
    torch.utils.deterministic.fill_uninitialized_memory = False
    generator = np.random.default_rng(arguments.seed)

    warmup, train, validation = (Part(arguments.data / name) for name in ("warmup", "train", "validation"))
    network = Network()
    if arguments.start:
        continued(network, arguments.start)
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=arguments.rate, weight_decay=1e-3)
    start, step, losses, history = time.monotonic(), 0, [], []
    while step < arguments.steps:
        # Images with more findings first: one mass alone moves the mean over a whole breast too little to be learned from nothing.
        part = warmup if step < arguments.warmup_steps else train
        for angle, rows in part.batches(arguments.batch, generator):
            network.train()
            crops, labels = part.batch(angle, rows)
            # Nothing that is drawn has an up or a down of its own, nor a left or a right.
            axes = AXES[generator.integers(len(AXES))]
            crops, labels = torch.cat([crops, crops.flip(axes)]), torch.cat([labels, labels])
            # Twice as fast where the processor has it. Weights, and whatever is measured, are f32.
            with torch.autocast("cpu", torch.bfloat16):
                output, maps = network.scored(network.trunk(crops))
            uneven = unevenness(*maps.chunk(2), axes)
            loss = functional.nll_loss(output.flatten(0, 1), labels.flatten()) + arguments.even * uneven
            left = (arguments.steps - step) / max(arguments.fall, 1)
            optimizer.param_groups[0]["lr"] = arguments.rate * min(1, (step + 1) / RISE, left)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            with torch.no_grad():
                for mean, now in zip(averaged.parameters(), network.parameters()):
                    mean.lerp_(now, 1 - DECAY)
            losses.append([*(functional.nll_loss(output[:, at], labels[:, at]).item() for at in range(len(LABELS))), uneven.item()])
            if step % 20 == 0:
                benign, malignant, uneven = np.mean(losses[-20:], 0)
                print(f"step {step}  loss {benign:.3f} {malignant:.3f}  uneven {uneven:.3f}  {time.monotonic() - start:.0f} s", flush=True)
            if step % arguments.every == 0 or step == arguments.steps:
                networks = calibrated(averaged, train)
                history.append({"step": step, "validation": measure(networks, validation)["all"]})
                print(json.dumps(history[-1]), flush=True)
                # Kept each time, so that a run that is stopped has given something.
                torch.save(checkpoint(networks), arguments.checkpoint)
            if step == arguments.steps:
                break

    metrics = {
        "seed": arguments.seed,
        "steps": arguments.steps,
        "filters": FILTERS,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "warmup_steps": arguments.warmup_steps,
        "batch": arguments.batch,
        "even": arguments.even,
        "training_crops": {angle: len(train.crops[angle]) for angle in ANGLES},
        "warmup_crops": {angle: len(warmup.crops[angle]) for angle in ANGLES},
        "torch": torch.__version__.split("+")[0],
        "history": history,
        "held_out": measure(networks, Part(arguments.data / "heldout")),
    }
    arguments.metrics.write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics["held_out"], indent=2))


if __name__ == "__main__":
    main()
