/** The text of `train.py`. */
export const trainScript = String.raw`"""Trains the network, by one process or by many:

    python train.py --data digits.npz
    torchrun --nproc-per-node 2 train.py --data digits.npz
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-endpoint HOST:29500 train.py --data digits.npz

Data: a .npz or .safetensors file, or name=file.npy for each array. The arrays are named as the arguments of
Network.forward (x), and target; their first axes are the samples. --batch counts the samples of all processes
together, so that a run means the same however many share it; what is left of an epoch behind the last whole batch
is left out.

Statistics. A process sees only its part of a batch. The gradient is the mean of all parts' (DistributedDataParallel),
which is that of the whole batch. What else looks over a batch is brought together here:

- quantizers that collect the range of their input (a percentile, a least squared error, ...): --statistics whole (the
  default) gathers the values of all processes before the statistic is taken, which gives that of the whole batch.
  It costs memory and traffic for the first collect_stats_steps steps, and nothing once the scale is learned.
  --statistics mean takes the mean of each part's statistic instead: cheap, but the mean of two percentiles is not the
  percentile of both, so scales differ a little from those of one process.
- batch norms take mean and variance over all processes, on CPUs too (torch's SyncBatchNorm is for GPUs alone).

Each process draws its own dropout masks. Everything else is the same in every process, and stays so.
"""

import argparse
import os

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn.functional as together
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import state
from network import INPUTS, Network


def arguments():
    p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    p.add_argument("--data", nargs="+", required=True, help="data.npz, data.safetensors, or x=x.npy target=target.npy")
    p.add_argument("--test", nargs="+", help="the same, to measure the accuracy of after each epoch")
    p.add_argument("--weights", default="network.safetensors", help="where to start from")
    p.add_argument("--out", default="out", help="folder of trained.safetensors and checkpoint.pt")
    p.add_argument("--resume", action="store_true", help="go on from out/checkpoint.pt")
    p.add_argument("--save-every", type=int, default=0, metavar="STEPS", help="save so often, not only after epochs")
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("--steps", type=int, help="stop after so many steps in all")
    p.add_argument("--batch", type=int, default=64, help="samples of a step, of all processes together")
    p.add_argument("--no-shuffle", action="store_true", help="take the samples in their order")
    p.add_argument("--loss", choices=["cross_entropy", "mse"], default="cross_entropy")
    p.add_argument("--optimizer", choices=["sgd", "adam", "adamw"], default="adam")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--momentum", type=float, default=0.0, help="of sgd")
    p.add_argument("--weight-decay", type=float, default=0.0)
    p.add_argument("--statistics", choices=["whole", "mean"], default="whole")
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


# ------------------------------------------------------------------ data


def read(files):
    """Arrays by name."""
    arrays = {}
    for file in files:
        name, equals, path = file.partition("=")
        if file.endswith(".npz"):
            arrays.update(np.load(file, allow_pickle=False))
        elif file.endswith(".safetensors"):
            arrays.update({k: v.numpy() for k, v in load_file(file).items()})
        elif equals and path.endswith(".npy"):
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            raise SystemExit(f"{file}: give data.npz, data.safetensors, or name=file.npy")
    wanted = [*INPUTS, "target"]
    lacking = [name for name in wanted if name not in arrays]
    if lacking:
        raise SystemExit(f"the data lacks {', '.join(lacking)}; it has {', '.join(arrays) or 'nothing'}")
    if len({len(arrays[name]) for name in wanted}) > 1:
        raise SystemExit(f"the arrays {', '.join(wanted)} have different numbers of samples")
    return {name: arrays[name] for name in wanted}


def samples(data, rows, device):
    """Some samples of all arrays as tensors of the types that the network takes."""
    return {
        name: torch.as_tensor(np.ascontiguousarray(array[rows]), device=device).to(INPUTS.get(name, torch.float32))
        for name, array in data.items()
    }


def batches(data, a, epoch, first, rank, world, device):
    """This process' part of each batch of an epoch, from batch first on; the order follows from seed and epoch alone."""
    n = len(data["target"])
    order = torch.arange(n)
    if not a.no_shuffle:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(a.seed * 1_000_003 + epoch))
    share = a.batch // world
    for b in range(first, n // a.batch):
        mine = order[b * a.batch + rank * share :][:share].numpy()
        yield b, samples(data, mine, device)


# ------------------------------------------------------------------ statistics over all processes


def gather(x):
    """The values of all processes, side by side along the last axis; gradients go back to where they came from."""
    return torch.cat(together.all_gather(x.contiguous()), dim=-1)


def mean_of_all(x):
    return together.all_reduce(x) / dist.get_world_size()


class BatchNormOfAll:
    """forward of a batch norm whose mean and variance are those of all processes."""

    def forward(self, x):
        if not (self.training or self.running_mean is None):
            return super().forward(x)
        x = x.value if hasattr(x, "value") else x  # a quant tensor's bare value
        axes = [i for i in range(x.dim()) if i != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = together.all_reduce(x.sum(axes)) / count
        centred = x - mean.view(shape)
        variance = together.all_reduce((centred * centred).sum(axes)) / count
        if self.training and self.running_mean is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.detach(), share)
                self.running_var.lerp_(variance.detach() * (count / (count - 1)), share)
        y = centred / (variance.view(shape) + self.eps).sqrt()
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)


class BatchNorm1d(BatchNormOfAll, nn.BatchNorm1d):
    pass


class BatchNorm2d(BatchNormOfAll, nn.BatchNorm2d):
    pass


def bring_together(model, statistics):
    """Makes statistics those of all processes; see the head of this file."""
    for module in list(model.modules()):
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d):
            module.__class__ = BatchNorm1d if isinstance(module, nn.BatchNorm1d) else BatchNorm2d
        collected = hasattr(module, "collect_stats_steps") or hasattr(module, "running_stats")
        statistic = getattr(module, "stats", getattr(module, "zero_point_stats_impl", None)) if collected else None
        if statistic is None:
            continue
        if statistics == "whole":
            statistic.register_forward_pre_hook(lambda _, given: (gather(given[0]),))
        else:
            statistic.register_forward_hook(lambda _, given, result: mean_of_all(result))


# ------------------------------------------------------------------ training


def optimizer_of(a, parameters):
    if a.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=a.lr, momentum=a.momentum, weight_decay=a.weight_decay)
    kind = torch.optim.Adam if a.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=a.lr, weight_decay=a.weight_decay)


def value(y):
    """The bare value of a quant tensor."""
    return y.value if hasattr(y, "value") else y


def loss_of(a, y, target):
    if a.loss == "mse":
        return F.mse_loss(value(y), target)
    return F.cross_entropy(value(y), target.long())


def outputs(model, batch):
    return model(*[batch[name] for name in INPUTS])


def accuracy(model, data, device, size=256):
    model.eval()
    right = 0
    with torch.no_grad():
        for i in range(0, len(data["target"]), size):
            batch = samples(data, slice(i, i + size), device)
            right += int((value(outputs(model, batch)).argmax(1) == batch["target"].long()).sum())
    model.train()
    return right / len(data["target"])


def save(a, model, optimizer, epoch, batch, step):
    """By the first process alone. Files are replaced whole: one that is there is good, whenever a process dies."""
    os.makedirs(a.out, exist_ok=True)
    path = os.path.join(a.out, "checkpoint.pt")
    place = {"epoch": epoch, "batch": batch, "step": step}
    torch.save({"model": state.capture(model), "optimizer": optimizer.state_dict(), **place}, path + ".part")
    os.replace(path + ".part", path)
    state.save(model, os.path.join(a.out, "trained.safetensors"))


def main():
    a = arguments()
    many = "RANK" in os.environ
    cuda = torch.cuda.is_available()
    starts = many and not dist.is_initialized()
    if starts:
        dist.init_process_group("nccl" if cuda else "gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if many else (0, 1)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if a.batch % world:
        raise SystemExit(f"--batch {a.batch} can't be shared by {world} processes: give a multiple of {world}")
    data = read(a.data)
    if len(data["target"]) < a.batch:
        raise SystemExit(f"--batch {a.batch} is more than the {len(data['target'])} samples of the data")
    test = read(a.test) if a.test and rank == 0 else None

    model = Network().to(device)
    epoch, first, step = 0, 0, 0
    if a.resume:
        checkpoint = torch.load(os.path.join(a.out, "checkpoint.pt"), map_location=device, weights_only=True)
        state.restore(model, checkpoint["model"])
        epoch, first, step = checkpoint["epoch"], checkpoint["batch"], checkpoint["step"]
    else:
        state.load(model, a.weights)
    model.to(device)
    optimizer = optimizer_of(a, model.parameters())  # after loading, which may make parameters anew
    if a.resume:
        optimizer.load_state_dict(checkpoint["optimizer"])
    model.train()
    if many:
        bring_together(model, a.statistics)
    # Buffers are equal in all processes already. A layer that a forward leaves out has no gradient to wait for.
    parallel = DistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=True) if many else model

    while epoch < a.epochs and (a.steps is None or step < a.steps):
        loss = None
        for b, batch in batches(data, a, epoch, first, rank, world, device):
            torch.manual_seed((a.seed * 1_000_003 + step) * 65_537 + rank)  # dropout: the same again after --resume
            optimizer.zero_grad()
            loss = loss_of(a, outputs(parallel, batch), batch["target"])
            loss.backward()
            optimizer.step()
            step += 1
            first = b + 1
            done = a.steps is not None and step >= a.steps
            if rank == 0 and (done or (a.save_every and step % a.save_every == 0)):
                save(a, model, optimizer, epoch, first, step)
            if done:
                break
        else:
            epoch, first = epoch + 1, 0
            if many and loss is not None:
                loss = mean_of_all(loss.detach())
            if rank == 0:
                save(a, model, optimizer, epoch, first, step)
                measured = "" if test is None else f", accuracy {accuracy(model, test, device):.4f}"
                print(f"epoch {epoch}, step {step}: loss {float(loss) if loss is not None else float('nan'):.4f}{measured}", flush=True)
    if many:
        dist.barrier()
    if starts:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
`
