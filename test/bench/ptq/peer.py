"""Times Brevitas' own post-training flow (calibration, then bias correction) on the nets of nets.ts with drawn weights: `peer.py THREADS ROUNDS`. Prints one JSON line per net."""
import copy
import json
import sys
import time
import warnings

warnings.filterwarnings('ignore')
import brevitas.nn as qnn
import torch
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from torch import nn

threads, rounds = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)


def conv(i, o, k, stride=1, groups=1):
    return qnn.QuantConv2d(i, o, k, stride=stride, padding=1 if k == 3 else 0, groups=groups, weight_quant=Int8WeightPerChannelFloat)


def linear(i, o):
    return qnn.QuantLinear(i, o, bias=True, weight_quant=Int8WeightPerChannelFloat)


def relu():
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, return_quant_tensor=True)


def first():
    return qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, return_quant_tensor=True)


NETS = {
    'Lenet': lambda: nn.Sequential(first(), conv(1, 16, 3), relu(), nn.MaxPool2d(2), conv(16, 32, 3), relu(), nn.MaxPool2d(2), nn.Flatten(), linear(1568, 128), relu(), linear(128, 10)),
    'Depthwise': lambda: nn.Sequential(first(), conv(1, 16, 3, 2), relu(), conv(16, 16, 3, 1, 16), relu(), conv(16, 32, 1), relu(), conv(32, 32, 3, 2, 32), relu(), conv(32, 64, 1), relu(), nn.AvgPool2d(7), nn.Flatten(), linear(64, 10)),
}
images = torch.rand(1024, 1, 28, 28)
for name, make in NETS.items():
    best = float('inf')
    for _ in range(rounds):
        net = copy.deepcopy(make())
        start = time.perf_counter()
        with torch.no_grad(), calibration_mode(net):
            for b in images.split(64):
                net(b)
        net.eval()
        with torch.no_grad(), bias_correction_mode(net):
            for b in images.split(64):
                net(b)
        best = min(best, time.perf_counter() - start)
    print(json.dumps({'net': name, 'ms': best * 1000}), flush=True)
