"""The sLSTM and mLSTM kernels of xlstm.cu as PyTorch functions with gradients.

    import xlstm_torch
    xlstm_torch.load("/opt/xlstm")                      # where xlstm is installed
    h, state = xlstm_torch.slstm(wx, R, bias)           # state: final h, c, n, m
    h, state = xlstm_torch.mlstm(q, k, v, i, f, state)  # state: C, n, m

Tensors may be on the CPU (float32, float64) or on a GPU (float32, bfloat16, float16; sLSTM weights and
mLSTM gates of the same type, or of float32). States are float32, for float64 float64.
"""

import os
import pathlib
import re

import torch
import torch.utils.cpp_extension

_kernels = None


def _pkg_config(prefix):
    """What xlstm_kernels.pc of an installation says, as lists: compiler flags, linker flags."""
    file = next(pathlib.Path(prefix).resolve().rglob("xlstm_kernels.pc"), None)
    if file is None:
        raise FileNotFoundError(f"no xlstm_kernels.pc below {prefix}, expected where xlstm is installed")
    values = {"pcfiledir": str(file.parent)}
    for line in file.read_text().splitlines():
        name, sign, value = re.match(r"(\w*)\s*([=:]?)\s*(.*)", line).groups()
        if sign:
            values[name] = re.sub(r"\$\{(\w+)\}", lambda m: values[m[1]], value)
    return values["Cflags"].split(), values["Libs"].split()


def load(prefix=None):
    """Compiles bindings.cpp against the installed kernels, once for a machine."""
    global _kernels
    compiler_flags, linker_flags = _pkg_config(prefix or os.environ["XLSTM_PREFIX"])
    _kernels = torch.utils.cpp_extension.load(
        name="xlstm_kernels_torch",
        sources=[str(pathlib.Path(__file__).resolve().parent / "bindings.cpp")],
        extra_cflags=["-O2", *compiler_flags],
        extra_ldflags=linker_flags,
    )


def _call(function, like, *arguments):
    if not like.is_cuda:
        return function(*arguments, 0)
    with torch.cuda.device(like.device):
        return function(*arguments, torch.cuda.current_stream().cuda_stream)


class _Slstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, wx, R, bias, h0, c0, n0, m0, reset):
        h, h1, c1, n1, m1, saved = _call(
            _kernels.slstm_forward, wx, wx, R, bias, h0, c0, n0, m0, reset)
        ctx.save_for_backward(R, h0, c0, n0, reset, h, saved)
        ctx.has_state = [x is not None for x in (h0, c0, n0, m0)]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(m1)  # gradients of c and n are taken at fixed m
        return h, h1, c1, n1, m1

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dh, dh1, dc1, dn1, _):
        R, h0, c0, n0, reset, h, saved = ctx.saved_tensors
        dwx, dR, dbias, *dstate = _call(
            _kernels.slstm_backward, h, R, h0, c0, n0, reset, h, saved, dh, dh1, dc1, dn1)
        dstate = [d if given else None for d, given in zip(dstate, ctx.has_state)]
        return dwx, dR, dbias, *dstate, None


class _Mlstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, i, f, C0, n0, m0, reset, eps):
        h, C, n, m, saved_m, saved_l = _call(
            _kernels.mlstm_forward, q, q, k, v, i, f, C0, n0, m0, reset, eps)
        ctx.save_for_backward(q, k, v, i, f, C0, n0, m0, reset, h, saved_m, saved_l)
        ctx.has_state = [x is not None for x in (C0, n0, m0)]
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(m)  # gradients of C and n are taken at fixed m
        return h, C, n, m

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dh, dC, dn, _):
        saved = ctx.saved_tensors
        *dinputs, dC0, dn0, dm0 = _call(
            _kernels.mlstm_backward, saved[0], *saved, dh, dC, dn, ctx.eps)
        dstate = [d if given else None for d, given in zip((dC0, dn0, dm0), ctx.has_state)]
        return *dinputs, *dstate, None, None


def slstm(wx, R, bias, state=None, reset=None):
    """The sLSTM recurrence over time.

    wx [B, T, 4, H, D]: pre-activations of the gates i, f, z, o from the input; R [H, D, 4, D]; bias
    [H, 4, D]; state: h, c, n, m, each [B, H, D], None for zeros; reset [B, T] uint8, 1 where the state is
    zero before a step. Returns h [B, T, H, D] and the final state.
    """
    h, *state = _Slstm.apply(wx, R, bias, *(state or (None,) * 4), reset)
    return h, tuple(state)


def mlstm(q, k, v, i, f, state=None, reset=None, eps=1e-6):
    """The mLSTM over time, chunkwise.

    q, k [B, T, H, K]; v [B, T, H, V]; i, f [B, T, H]: gate pre-activations; state: C [B, H, K, V], n [B, H, K],
    m [B, H], None for zeros; reset [B, T] uint8. Returns h [B, T, H, V] and the final state.
    """
    h, *state = _Mlstm.apply(q, k, v, i, f, *(state or (None,) * 3), reset, eps)
    return h, tuple(state)
