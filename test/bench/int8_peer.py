"""ONNX Runtime's native engine and PyTorch, for `npm run bench:int8`: a line of JSON in ({"what", "net", "batch", "seconds", ...}), best milliseconds out."""
import json
import sys
import time

import numpy as np

made = {}


def torch_net(name):
    from torch import nn

    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)), (784,)
    if name == "digits":
        conv = lambda i, o: [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        head = [nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10)]
        return nn.Sequential(*conv(1, 16), *conv(16, 32), *head), (1, 28, 28)
    blocks = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()]
    for i, o, s in [(16, 32, 2), (32, 64, 2), (64, 128, 2), (128, 128, 1)]:
        blocks += [nn.Conv2d(i, i, 3, padding=1, stride=s, groups=i), nn.ReLU(), nn.Conv2d(i, o, 1), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(128, 10)), (3, 32, 32)


def prepare(q):
    if q["what"] == "ort-native":
        import onnxruntime as ort

        o = ort.SessionOptions()
        o.intra_op_num_threads = q["threads"]
        o.inter_op_num_threads = 1
        session = ort.InferenceSession(q["file"], o, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        x = np.fromfile(q["x"], dtype=np.float32).reshape([int(n) for n in q["shape"]])
        return lambda: session.run(None, {given.name: x})
    import torch

    torch.set_num_threads(q["threads"])
    net, sample = torch_net(q["net"])
    x = torch.randn(q["batch"], *sample)
    if q["what"] == "torch-float":
        net.eval()

        def infer():
            with torch.inference_mode():
                net(x)

        return infer
    target = torch.arange(q["batch"]) % 10
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), target).backward()
        optimizer.step()

    return step


for line in sys.stdin:
    q = json.loads(line)
    key = (q["what"], q["net"], q["batch"], q["threads"])
    try:
        if key not in made:
            made[key] = prepare(q)
            for _ in range(3):
                made[key]()
        best, until = float("inf"), time.perf_counter() + q["seconds"]
        while True:
            begin = time.perf_counter()
            made[key]()
            best = min(best, time.perf_counter() - begin)
            if time.perf_counter() > until:
                break
        print(json.dumps({"ms": best * 1e3}), flush=True)
    except Exception as e:  # told to who asked
        print(json.dumps({"error": f"{type(e).__name__}: {e}"}), flush=True)
