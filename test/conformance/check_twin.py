"""python check_twin.py OUTDIR: loads each twin that `npm run conformance -- --twin OUTDIR DIR` wrote in the real Brevitas, compares its
forward with ours, runs one forward in training, and saves what it then holds and computes for `--from-twin OUTDIR` to read back."""
import importlib.util
import pathlib
import sys
import warnings

warnings.simplefilter('ignore')
import torch
from brevitas.quant_tensor import IntQuantTensor, QuantTensor
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
if not hasattr(QuantTensor, 'cat'):
    QuantTensor.cat = staticmethod(IntQuantTensor.cat)


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


def inputs(io, types):
    out = []
    for name, dtype in types.items():
        k = f'in.{name}'
        if k + '.scale' in io:
            s, z, b, signed, training = (io[f'{k}.{p}'] for p in ('scale', 'zero_point', 'bit_width', 'signed', 'training'))
            out.append((k, IntQuantTensor(io[k], s, z, b, bool(signed), bool(training))))
        else:
            out.append((k, io[k].to(dtype)))
    return out


def parts(name, v):
    if isinstance(v, QuantTensor):
        yield name, v.value
        for part in ('scale', 'zero_point', 'bit_width'):
            if torch.is_tensor(getattr(v, part, None)):
                yield f'{name}.{part}', getattr(v, part)
    elif isinstance(v, torch.Tensor):
        yield name, v


def worst(a, b):
    """Largest difference beyond rounding, relative to the largest magnitude; 0 if there is none."""
    if a.numel() != b.numel():
        return float('inf')
    a, b = a.flatten().double(), b.flatten().double()
    same = (a == b) | (a.isnan() & b.isnan())
    if bool((same | (a.isfinite() & b.isfinite())).logical_not().any()):
        return float('inf')
    size = float(b[b.isfinite()].abs().max()) if bool(b.isfinite().any()) else 0.0
    d = float(torch.where(same, 0.0, (a - b).abs()).max()) if a.numel() else 0.0
    return 0.0 if d <= 1e-6 + 1e-5 * size else d / max(size, 1e-30)


def check(folder):
    state = module(folder / 'state.py')
    network = module(folder / 'network.py')
    model = network.Network()
    io = load_file(folder / 'io.safetensors')
    state.load(model, str(folder / 'network.safetensors'))
    given = [v for _, v in inputs(io, network.INPUTS)]
    model.eval()
    with torch.no_grad():
        got = model(*given)
    problems = []
    for name, v in got.items():
        kind = isinstance(v, QuantTensor), f'out.{name}.scale' in io
        if kind[0] != kind[1]:
            problems.append(f'{name} is {"a" if kind[0] else "no"} quant tensor')
        for key, t in parts(f'out.{name}', v):
            if key in io:
                w = worst(t, io[key])
                if w:
                    problems.append(f'{key} differs by {w:.2g}')
    model.train()
    try:
        with torch.no_grad():
            model(*given)
    except Exception as e:  # a batch norm of one sample, for instance
        return problems, str(e)
    state.save(model, str(folder / 'after.safetensors'))
    model.eval()
    with torch.no_grad():
        again = model(*given)
    save_file({n: (v.value if isinstance(v, QuantTensor) else v).contiguous().clone() for n, v in again.items()}, str(folder / 'after-io.safetensors'))
    return problems, None


equal = differ = broken = 0
for path in sorted(pathlib.Path(sys.argv[1]).rglob('network.py')):
    name = path.parent.relative_to(sys.argv[1])
    try:
        problems, untrained = check(path.parent)
    except Exception as e:
        broken += 1
        print(f'BROKEN {name}: {type(e).__name__}: {str(e)[:300]}')
        continue
    if problems:
        differ += 1
        print(f'DIFFERS {name}: {"; ".join(problems[:3])}')
    else:
        equal += 1
    if untrained:
        print(f'not trained {name}: {untrained[:100]}')
print(f'{equal} equal, {differ} differ, {broken} broken')
sys.exit(1 if differ or broken else 0)
