"""Times Brevitas, Brevitas under torch.compile, and float PyTorch; started by run.ts, which hands over the numbers.

  python torch_peer.py '{"peer": "brevitas" | "torch-compile" | "torch-float", "threads": 1, "folder": "...",
                         "budget": {"warm": s, "sample": s, "limit": s}, "ids": [...], "variants": {id: [...]}}'

Prints one JSON value a line (Event in events.ts). Every result is compared with ours before it is timed.
A variant is a memory layout, `nchw` or `nhwc`, with `-plain` behind it where QuantTensors are off.
"""
import gc
import json
import math
import os
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")
SPEC = json.loads(sys.argv[1])
COLLECT = 2
FOREVER = 10**9
LEAST_SAMPLE, LONG, LEAST_SAMPLES = 0.5e-3, 1.0, 5  # as in measure.ts


def emit(tag, ident, **rest):
    print(json.dumps({"tag": tag, "id": ident, **rest}), flush=True)


try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    if SPEC["peer"] != "torch-float":
        import brevitas.nn as qnn
        from brevitas.quant import Int8ActPerTensorFloat
except ImportError as e:
    for ident in SPEC["ids"]:
        emit("unable", ident, why=f"this Python ({sys.executable}) lacks it: {e}")
    sys.exit(0)


class TooSlow(Exception):
    pass


class Mismatch(Exception):
    pass


class Unable(Exception):
    pass


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(call):
    """Milliseconds of one call: best and median."""
    budget = SPEC["budget"]
    first = timed(call)
    if first > budget["limit"]:
        raise TooSlow(f"a single call takes {first:.1f} s")
    samples = []
    if first > LONG:
        samples = [first] + ([timed(call)] if first * 2 < budget["sample"] * 4 else [])
    else:
        until = time.perf_counter() + budget["warm"]
        once = timed(call)
        while time.perf_counter() < until:
            once = min(once, timed(call))
        inner = max(1, math.ceil(LEAST_SAMPLE / max(once, 1e-7)))
        gc.collect()
        gc.disable()
        until = time.perf_counter() + budget["sample"]
        while len(samples) < LEAST_SAMPLES or time.perf_counter() < until:
            begin = time.perf_counter()
            for _ in range(inner):
                call()
            samples.append((time.perf_counter() - begin) / inner)
        gc.enable()
    return {"best": min(samples) * 1e3, "median": statistics.median(samples) * 1e3, "samples": len(samples)}


class Numbers:
    """What our side handed over for one case."""

    def __init__(self, ident):
        path = os.path.join(SPEC["folder"], ident.replace("/", "_") + ".json")
        if not os.path.exists(path):
            raise Unable("our side handed no numbers over")
        with open(path) as f:
            self.manifest = json.load(f)

    def _read(self, stored):
        flat = np.fromfile(os.path.join(SPEC["folder"], stored["file"]), dtype=np.float32)
        return torch.from_numpy(flat.reshape(stored["shape"]))

    def given(self, name):
        return self._read(self.manifest["given"][name])

    def parameters(self, net):
        own = dict(net.named_parameters())
        for name in self.manifest["given"]:
            if name in own:
                own[name].data.copy_(self.given(name))
        return net

    def check(self, name, result):
        expected = self.manifest["expected"][name]
        ours = self._read(expected).double()
        theirs = (result.value if hasattr(result, "value") else result).detach().double().reshape(ours.shape)
        error = ((theirs - ours).norm() / ours.norm()).item() if not torch.equal(theirs, ours) else 0.0
        if not error <= expected["tolerance"]:
            raise Mismatch(f"its {name} differs from ours: relative error {error:.3g}, at most {expected['tolerance']} is allowed")


def settle(module, x):
    """Past the collecting phase, or into it."""
    module.train()
    for _ in range(COLLECT + 1):
        module(x)
    return module


def layout_of(variant):
    return torch.channels_last if variant.startswith("nhwc") else torch.contiguous_format


def placed(t, variant):
    return t.contiguous(memory_format=layout_of(variant)) if t.dim() == 4 else t


def passes(module, numbers, phase, variant):
    """The call to time: a forward that records its graph, or forward and backward; compared first."""
    x = placed(numbers.given("x"), variant).requires_grad_()
    settle(module, x)
    if not phase.endswith("bwd"):
        numbers.check("y", module(x))
        return lambda: module(x)
    g = placed(numbers.given("g"), variant)

    def both():
        x.grad = None
        for p in module.parameters():
            p.grad = None
        y = module(x)
        y.backward(g)
        return y

    numbers.check("y", both())
    numbers.check("gx", x.grad)
    if "gw" in numbers.manifest["expected"]:
        numbers.check("gw", module.weight.grad)
    return both


def activation(workload, phase):
    steps = COLLECT if phase.startswith("learned") else FOREVER
    if workload == "W1":
        return qnn.QuantIdentity(collect_stats_steps=steps)
    if workload == "W2":
        return qnn.QuantReLU(collect_stats_steps=steps)
    if workload == "W9":
        from brevitas.quant.float_quant_ocp import Fp8e4m3OCPActPerTensorFloat
        return qnn.QuantIdentity(act_quant=Fp8e4m3OCPActPerTensorFloat, collect_stats_steps=steps)
    if workload == "W10":
        from brevitas_examples.common.generative.quantizers import Int8DynamicActPerGroupFloat
        return qnn.QuantIdentity(act_quant=Int8DynamicActPerGroupFloat, group_size=32, group_dim=1)
    return qnn.QuantReLU(
        collect_stats_steps=steps, scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, 64, 1, 1), scaling_stats_permute_dims=(1, 0, 2, 3))


def convolution(numbers, variant):
    cout, cin = numbers.manifest["given"]["weight"]["shape"][:2]
    conv = qnn.QuantConv2d(
        cin, cout, 3, padding=1, bias=True, input_quant=Int8ActPerTensorFloat, output_quant=Int8ActPerTensorFloat,
        input_collect_stats_steps=COLLECT, output_collect_stats_steps=COLLECT)
    return numbers.parameters(conv).to(memory_format=layout_of(variant))


class QuantNet(nn.Module):

    def __init__(self, quant_tensors, collect):
        super().__init__()
        s = dict(collect_stats_steps=collect, return_quant_tensor=quant_tensors)
        self.input = qnn.QuantIdentity(**s)
        self.conv1, self.relu1 = qnn.QuantConv2d(1, 16, 3, padding=1, bias=True), qnn.QuantReLU(**s)
        self.conv2, self.relu2 = qnn.QuantConv2d(16, 32, 3, padding=1, bias=True), qnn.QuantReLU(**s)
        self.fc1, self.relu3 = qnn.QuantLinear(1568, 128, bias=True), qnn.QuantReLU(**s)
        self.fc2 = qnn.QuantLinear(128, 10, bias=True)
        self.pool, self.flatten = nn.MaxPool2d(2), nn.Flatten()

    def forward(self, x):
        x = self.pool(self.relu1(self.conv1(self.input(x))))
        x = self.pool(self.relu2(self.conv2(x)))
        return self.fc2(self.relu3(self.fc1(self.flatten(x))))


class FloatNet(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(1568, 128), nn.Linear(128, 10)
        self.pool, self.flatten = nn.MaxPool2d(2), nn.Flatten()

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc2(F.relu(self.fc1(self.flatten(x))))


def network(numbers, variant, collect=COLLECT):
    net = FloatNet() if SPEC["peer"] == "torch-float" else QuantNet(not variant.endswith("-plain"), collect)
    return numbers.parameters(net).to(memory_format=layout_of(variant))


def step(numbers, variant):
    net = network(numbers, variant)
    x, target = placed(numbers.given("x"), variant), numbers.given("target").long()
    prefix = "float." if SPEC["peer"] == "torch-float" else ""
    settle(net, x)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    y = net(x)
    loss = F.cross_entropy(y, target)
    loss.backward()
    numbers.check(prefix + "y", y)
    numbers.check(prefix + "loss", loss)
    if prefix == "":
        numbers.check("grad.conv1.weight", net.conv1.weight.grad)
        numbers.check("grad.fc1.weight", net.fc1.weight.grad)

    def run():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), target).backward()
        optimizer.step()

    return run


def inference(numbers, variant):
    net = network(numbers, variant)
    x = placed(numbers.given("x"), variant)
    settle(net, x).eval()
    call = net
    if SPEC["peer"] == "torch-compile":
        from brevitas.export.inference import quant_inference_mode
        quant_inference_mode(net, cache_quant_weight=True).__enter__()
        with torch.no_grad():
            net(x)
        torch._dynamo.reset()
        call = torch.compile(net)

    def run():
        with torch.no_grad():
            return call(x)

    numbers.check("float.y" if SPEC["peer"] == "torch-float" else "y", run())
    return run


def sequence_layer(workload, numbers):
    quantized = SPEC["peer"] != "torch-float"
    given = numbers.manifest["given"]
    if workload == "W11":
        if quantized:
            # Its code collects for 300 steps, ours for 30, as its tutorial says.
            places = ("io", "gate_acc", "sigmoid", "tanh", "cell_state")
            net = qnn.QuantLSTM(32, 64, **{f"{p}_collect_stats_steps": 30 for p in places})
        else:
            net = nn.LSTM(32, 64)
            gates = [f"layers.0.0.{g}_gate_params." for g in ("input", "forget", "cell", "output")]
            net.weight_ih_l0.data.copy_(torch.cat([numbers.given(g + "input_weight.weight") for g in gates]))
            net.weight_hh_l0.data.copy_(torch.cat([numbers.given(g + "hidden_weight.weight") for g in gates]))
            net.bias_ih_l0.data.copy_(torch.cat([numbers.given(g + "bias") for g in gates]))
            net.bias_hh_l0.data.zero_()
    else:
        if quantized:
            places = ("in_proj_input", "out_proj_input", "attn_output_weights", "q_scaled", "k_transposed", "v")
            net = qnn.QuantMultiheadAttention(64, 4, **{f"{p}_collect_stats_steps": 30 for p in places})
        else:
            net = nn.MultiheadAttention(64, 4)
            net.in_proj_weight.data.copy_(numbers.given("in_proj.weight"))
            net.in_proj_bias.data.copy_(numbers.given("in_proj.bias"))
    for name, p in net.named_parameters(remove_duplicate=False):
        if name in given and "quant" not in name:
            p.data.copy_(numbers.given(name))
    if workload == "W11":
        return net, lambda x: net(x)[0]
    return net, lambda x: net(x, x, x, need_weights=False)[0]


def sequence(workload, phase, numbers):
    net, call = sequence_layer(workload, numbers)
    x = numbers.given("x")
    net.train()
    with torch.no_grad():
        for _ in range(31):
            call(x)
    prefix = "float." if SPEC["peer"] == "torch-float" else ""
    if phase == "eval":
        net.eval()

        def infer():
            with torch.no_grad():
                return call(x)

        numbers.check(prefix + "y", infer())
        return infer

    def run():
        for p in net.parameters():
            p.grad = None
        y = call(x)
        loss = (y * y).mean()
        loss.backward()
        return loss

    numbers.check(prefix + "loss", run())
    return run


def whole_training(ident, numbers, variant):
    """W8: one training from start to last step, and the accuracy afterwards."""
    images, labels = numbers.given("images"), numbers.given("labels").long()
    order = numbers.given("order").long()
    batch, collect = 32, 30
    if SPEC["peer"] == "brevitas":
        first = order[0, :batch]
        numbers.check("loss", F.cross_entropy(network(numbers, variant, collect).train()(images[first]), labels[first]))
    begin = time.perf_counter()
    net = network(numbers, variant, collect).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, order.numel() // batch)
    for epoch in order:
        for at in range(0, len(epoch), batch):
            chosen = epoch[at:at + batch]
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(placed(images[chosen], variant)), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    took = (time.perf_counter() - begin) * 1e3
    net.eval()
    with torch.no_grad():
        y = net(numbers.given("testImages"))
        y = y.value if hasattr(y, "value") else y
        right = (y.argmax(1) == numbers.given("testLabels").long()).float().mean().item()
    emit("times", ident, variant=variant, best=took, median=took, samples=1)
    emit("accuracy", ident, accuracy=right)


def run_case(ident, variant):
    workload, _, phase = ident.split("/")
    numbers = Numbers(ident)
    if workload == "W8":
        return whole_training(ident, numbers, variant)
    torch.manual_seed(0)
    if workload in ("W1", "W2", "W3", "W9", "W10"):
        call = passes(activation(workload, phase), numbers, phase, variant)
    elif workload == "W4":
        call = passes(convolution(numbers, variant), numbers, phase, variant)
    elif workload == "W5":
        call = step(numbers, variant)
    elif workload == "W6":
        call = inference(numbers, variant)
    elif workload in ("W11", "W12"):
        call = sequence(workload, phase, numbers)
    else:
        raise Unable("not written")
    emit("ready", ident)
    emit("times", ident, variant=variant, **measure(call))


def main():
    torch.set_num_threads(SPEC["threads"])
    for ident in SPEC["ids"]:
        for variant in SPEC["variants"][ident]:
            emit("begin", ident)
            try:
                run_case(ident, variant)
            except Unable as e:
                emit("unable", ident, why=str(e))
            except TooSlow as e:
                emit("slow", ident, why=str(e))
            except Mismatch as e:
                emit("mismatch", ident, why=f"{variant}: {e}")
            except Exception as e:  # a peer's own failure is a result
                emit("failed", ident, why=f"{variant}: {type(e).__name__}: {str(e)[:400]}")
            gc.collect()


main()
