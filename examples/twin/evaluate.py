"""python evaluate.py DIR...: in each folder the twin's output in evaluation for x of data.npz, with network.safetensors
(out: before.npy) and, if it is there, with trained/trained.safetensors (after.npy)."""
import importlib
import os
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")
import numpy as np
import torch


def output(folder, weights):
    sys.path.insert(0, str(folder))
    for name in ("network", "state"):
        sys.modules.pop(name, None)
    network, state = importlib.import_module("network"), importlib.import_module("state")
    sys.path.pop(0)
    model = network.Network()
    state.load(model, str(folder / weights))
    model.eval()
    with torch.no_grad():
        y = model(torch.from_numpy(np.load(folder / "data.npz")["x"]))
    return (y.value if hasattr(y, "value") else y).numpy()


for folder in map(pathlib.Path, sys.argv[1:]):
    np.save(folder / "before.npy", output(folder, "network.safetensors"))
    if os.path.exists(folder / "trained/trained.safetensors"):
        np.save(folder / "after.npy", output(folder, "trained/trained.safetensors"))
