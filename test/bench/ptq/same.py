"""Brevitas' own steps on the float networks that ours starts from: `same.py FOLDER THREADS`. FOLDER holds digits.npz and NET-SEED.npz (weights and biases by layer, batch
norms merged). Prints one JSON line per network, bits and combination of steps: the accuracy in percent."""
import copy
import json
import pathlib
import sys
import warnings

warnings.filterwarnings('ignore')
import brevitas.fx
import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.equalize import EqualizeGraph
from brevitas.graph.gptq import gptq_mode
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from torch import nn

BATCH, SAMPLES = 64, 1024
BITS = ((8, 8), (4, 8), (4, 4), (3, 8), (2, 8))
#        name                    equalise, GPTQ, correct
STEPS = {
    'calibrate': (0, 0, 0),
    '+ equalise': (1, 0, 0),
    '+ correct': (0, 0, 1),
    'equalise + correct': (1, 0, 1),
    '+ GPTQ': (0, 1, 0),
    'GPTQ + correct': (0, 1, 1),
    'all': (1, 1, 1),
}


def conv(i, o, k, stride=1, groups=1):
    return nn.Conv2d(i, o, k, stride=stride, padding=1 if k == 3 else 0, groups=groups)


def chain(**layers):
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


NETS = {
    'Lenet': lambda: chain(conv1=conv(1, 16, 3), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2), conv2=conv(16, 32, 3), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flatten=nn.Flatten(), fc1=nn.Linear(1568, 128), relu3=nn.ReLU(), fc2=nn.Linear(128, 10)),
    'Depthwise': lambda: chain(stem=conv(1, 16, 3, 2), stemRelu=nn.ReLU(), dw1=conv(16, 16, 3, 1, 16), dw1Relu=nn.ReLU(), pw1=conv(16, 32, 1), pw1Relu=nn.ReLU(), dw2=conv(32, 32, 3, 2, 32), dw2Relu=nn.ReLU(), pw2=conv(32, 64, 1), pw2Relu=nn.ReLU(), pool=nn.AvgPool2d(7), flatten=nn.Flatten(), fc=nn.Linear(64, 10)),
}


def quantized(net, wbits, abits):
    """Every layer by its quantized one; the grey levels of the input have the bits of the activations, as ours."""
    layers = [('input', qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, bit_width=abits, return_quant_tensor=True))]
    for name, m in net.named_children():
        w = dict(weight_quant=Int8WeightPerChannelFloat, weight_bit_width=wbits)
        if isinstance(m, nn.Conv2d):
            q = qnn.QuantConv2d(m.in_channels, m.out_channels, m.kernel_size, stride=m.stride, padding=m.padding, groups=m.groups, bias=True, **w)
        elif isinstance(m, nn.Linear):
            q = qnn.QuantLinear(m.in_features, m.out_features, bias=True, **w)
        elif isinstance(m, nn.ReLU):
            q = qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=abits, return_quant_tensor=True)
        else:
            q = copy.deepcopy(m)
        q.load_state_dict(m.state_dict(), strict=False)
        layers.append((name, q))
    return chain(**dict(layers))


def after(net, batches, gptq, correct):
    with torch.no_grad(), calibration_mode(net):
        for b in batches:
            net(b)
    net.eval()
    if gptq:
        with torch.no_grad(), gptq_mode(net, use_quant_activations=True) as g:
            for _ in range(g.num_layers):
                for b in batches:
                    g.model(b)
                g.update()
    if correct:
        with torch.no_grad(), bias_correction_mode(net):
            for b in batches:
                net(b)
    return net


def equalised(make, net):
    graph = EqualizeGraph(iterations=10).apply(brevitas.fx.symbolic_trace(copy.deepcopy(net)))
    graph = graph[0] if isinstance(graph, tuple) else graph
    other = make()
    other.load_state_dict({k: v for k, v in graph.state_dict().items() if k in net.state_dict()})
    return other.eval()


def accuracy(net, x, y):
    with torch.no_grad():
        found = torch.cat([net(b) for b in x.split(500)]).argmax(1)
    return float((found == y).float().mean() * 100)


folder = pathlib.Path(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))
digits = {k: torch.from_numpy(v) for k, v in np.load(folder / 'digits.npz').items()}
samples = digits['samples'][:SAMPLES].split(BATCH)
for path in sorted(folder.glob('*-*.npz')):
    name, seed = path.stem.split('-')
    net = NETS[name]()
    net.load_state_dict({k: torch.from_numpy(v) for k, v in np.load(path).items()})
    net.eval()
    say = lambda **what: print(json.dumps({'net': name, 'seed': int(seed), **what}), flush=True)
    say(bits='float', steps='', accuracy=accuracy(net, digits['images'], digits['labels']))
    equal = equalised(NETS[name], net)
    for bits in BITS:
        for steps, (equalise, gptq, correct) in STEPS.items():
            done = after(quantized(equal if equalise else net, *bits), samples, gptq, correct)
            say(bits='w{}a{}'.format(*bits), steps=steps, accuracy=accuracy(done, digits['images'], digits['labels']))
