/** The text of `state.py`. */
export const stateScript = String.raw`"""Loads and saves every number of a network, so that quantrace and PyTorch go on from each other's files.

A state dict of Brevitas leaves out what its quantizers count while they collect statistics, and loading one ends
all collections. The files here hold it beside the state dict's own keys:

    <scaling_impl or zero_point_impl>.counter, .buffer   of a quantizer that still collects
    <runtime_stats>.counter                              of one that collects for ever
    <tensor_quant>.quant_delay_steps                     calls until a delayed quantizer begins
"""

import os

import torch
from safetensors.torch import load_file, save_file


def hidden(model):
    """Yields (key, module, attribute) of all numbers that no state dict holds."""
    for name, module in model.named_modules():
        if hasattr(module, "collect_stats_steps") and hasattr(module, "buffer"):
            yield name + ".counter", module, "counter"
            yield name + ".buffer", module, "buffer"
        elif hasattr(module, "running_stats") and hasattr(module, "counter"):
            yield name + ".counter", module, "counter"
        elif hasattr(module, "quant_delay_steps"):
            yield name.partition("tensor_quant")[0] + "tensor_quant.quant_delay_steps", module, "quant_delay_steps"


def collects(module):
    """Has the module a collection that is not over?"""
    return hasattr(module, "collect_stats_steps") and module.counter <= module.collect_stats_steps


def given(key):
    """Is the number of this key one of the network's options, which Brevitas saves all the same?"""
    return key.endswith(".accumulator_bit_width.bit_width")


def capture(model):
    """All numbers of the model by their keys, as tensors in memory of the CPU."""
    arrays = dict(model.state_dict())
    for key, module, attribute in hidden(model):
        if hasattr(module, "collect_stats_steps"):
            if not collects(module):
                continue
            # The state dict says what the value would become; the value itself is what goes on.
            arrays[key.rpartition(".")[0] + ".value"] = module.value
        number = getattr(module, attribute)
        arrays[key] = number if torch.is_tensor(number) else torch.tensor(float(number))
    return {key: array.detach().cpu().contiguous().clone() for key, array in arrays.items() if not given(key)}


def restore(model, arrays):
    """Puts the numbers of capture, or of a file of quantrace, into a model made anew."""
    keys = {key for key, _, _ in hidden(model)}
    shown = {key: array for key, array in arrays.items() if key not in keys}
    missing, unexpected = model.load_state_dict(shown, strict=False)
    # A weight's learned threshold is computed by the first forward: before that there is none.
    modules = dict(model.named_modules())
    missing = [key for key in missing if not given(key) and not hasattr(modules.get(key.rpartition(".")[0]), "init_done")]
    if missing or unexpected:
        raise ValueError(f"the file is of another network: it lacks {missing}, and has {unexpected} too many")
    # Brevitas makes quantizers anew when it loads: look them up again; make optimizers only after this.
    for key, module, attribute in list(hidden(model)):
        if key not in arrays:
            continue
        if attribute == "buffer":
            module.buffer.data.copy_(arrays[key])
        else:
            setattr(module, attribute, int(arrays[key]))


def load(model, path):
    """Reads a .safetensors file, network.safetensors for instance."""
    restore(model, load_file(path))


def save(model, path):
    """Writes a .safetensors file that quantrace reads back; it is there whole or not at all."""
    save_file(capture(model), path + ".part")
    os.replace(path + ".part", path)
`
