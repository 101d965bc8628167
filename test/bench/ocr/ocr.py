"""The OCR classifier beside ours: fetches it, runs models in ONNX Runtime, and times Brevitas' calibration of it.

    ocr.py fetch FOLDER                      the model of the package rapidocr-onnxruntime into FOLDER/cls.onnx
    ocr.py classes MODEL PICTURES.npz ...    JSON: of each file the class of each picture (array x)
    ocr.py brevitas MODEL SAMPLES.npz THREADS OTHERS.npz ...
                                             JSON: seconds, best of nine, of the calibration and of the whole way from the file; classes of each file

Needs onnx, onnxruntime, brevitas and onnx2torch (pip install --no-deps onnx2torch)."""
import json
import pathlib
import subprocess
import sys
import time
import types
import warnings
import zipfile
from importlib.machinery import ModuleSpec

warnings.filterwarnings('ignore')
MODEL = 'rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx'
BATCH = 16


def fetch(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', str(folder), 'rapidocr-onnxruntime'], check=True)
    wheel = next(folder.glob('rapidocr_onnxruntime-*.whl'))
    (folder / 'cls.onnx').write_bytes(zipfile.ZipFile(wheel).read(MODEL))


def classes(model, *files):
    import numpy as np
    import onnxruntime
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    pictures = [np.load(f)['x'] for f in files]
    return [np.concatenate([session.run(None, {name: x[i:i + 50]})[0].argmax(1) for i in range(0, len(x), 50)]).tolist() for x in pictures]


def torch_model(path):
    """The model as torch modules; its weights stand in Constant nodes, which onnx2torch does not read."""
    for name in ('torchvision', 'torchvision.ops'):
        module = types.ModuleType(name)
        module.__spec__, module.__path__ = ModuleSpec(name, None), []
        sys.modules[name] = module
    ops = sys.modules['torchvision.ops']
    ops.nms = ops.roi_align = sys.modules['torchvision'].ops = None
    sys.modules['torchvision'].ops = ops
    import onnx
    from onnx2torch import convert
    model = onnx.load(path)
    kept = []
    for node in model.graph.node:
        if node.op_type == 'Constant':
            tensor = onnx.TensorProto()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return convert(model).eval()


def quantized(path):
    from torch import nn
    import brevitas.nn as qnn
    from brevitas.graph.quantize import layerwise_quantize
    from brevitas.graph.standardize import DuplicateSharedStatelessModule
    from brevitas.graph.fixed_point import MergeBatchNorm
    from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
    quant = {'input_quant': ShiftedUint8ActPerTensorFloat, 'weight_quant': Int8WeightPerChannelFloat, 'return_quant_tensor': False}
    model = MergeBatchNorm().apply(DuplicateSharedStatelessModule().apply(torch_model(path)))
    return layerwise_quantize(model, compute_layer_map={nn.Conv2d: (qnn.QuantConv2d, quant), nn.Linear: (qnn.QuantLinear, quant)})


def seconds():
    return time.perf_counter(), time.process_time()


def least(pairs):
    return dict(zip(('clock', 'processor'), (min(end[k] - start[k] for start, end in pairs) for k in (0, 1))))


def brevitas(path, samples, threads, *others):
    import numpy as np
    import torch
    from brevitas.graph.calibrate import calibration_mode
    torch.set_num_threads(int(threads))
    x, *ys = (torch.from_numpy(np.load(f)['x']) for f in (samples, *others))
    calibration, whole = [], []
    for _ in range(9):
        start = seconds()
        model = quantized(path)
        ready = seconds()
        with torch.no_grad(), calibration_mode(model):
            for i in range(0, len(x), BATCH):
                model(x[i:i + BATCH])
        end = seconds()
        calibration.append((ready, end))
        whole.append((start, end))
    with torch.no_grad():
        found = [torch.cat([model(y[i:i + 50]).argmax(1) for i in range(0, len(y), 50)]).tolist() for y in ys]
    return {'calibration': least(calibration), 'whole': least(whole), 'classes': found}


if __name__ == '__main__':
    print(json.dumps({'fetch': fetch, 'classes': classes, 'brevitas': brevitas}[sys.argv[1]](*sys.argv[2:])))
