"""torchrun steps.py DIR...: runs each folder's train.py in turn by the same processes, which saves their start.
The arguments of a folder stand in its arguments.txt."""
import importlib
import os
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")
import torch.distributed as dist

dist.init_process_group("gloo")
start = os.getcwd()
for folder in sys.argv[1:]:
    os.chdir(pathlib.Path(start, folder))
    sys.path.insert(0, os.getcwd())
    for name in ("network", "state", "train"):
        sys.modules.pop(name, None)
    train = importlib.import_module("train")
    sys.path.pop(0)
    sys.argv = ["train.py", *pathlib.Path("arguments.txt").read_text().split()]
    train.main()
dist.destroy_process_group()
