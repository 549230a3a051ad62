#!/usr/bin/env python3
"""Builds the extension and compares it with plain PyTorch, on the CPU and on a GPU if there is one.

    python3 check.py /opt/xlstm    # where xlstm is installed; ends with "all ok", or with status 1

On the CPU in float64: torch.autograd.gradcheck of every input, and values and gradients against a plain
loop over time. On a GPU in float32, bfloat16 and float16: values and gradients against the same loop in
float64 on the same (rounded) inputs. Besides, what is wrong with bad arguments is said.
"""

import sys
import time

import torch
import torch.nn.functional as F

import xlstm_torch

# Largest difference of a result from the exact one, relative to the largest exact value: h and final states,
# gradients. A 16-bit type rounds inputs of products inside, so the bounds are a few of its roundings.
TOLERANCE = {
    torch.float64: (1e-10, 1e-10),
    torch.float32: (2e-5, 1e-4),
    torch.bfloat16: (2e-2, 4e-2),
    torch.float16: (2.5e-3, 5e-3),
}


def plain_slstm(wx, R, bias, h, c, n, m):
    outputs = []
    for t in range(wx.shape[1]):
        gates = wx[:, t] + torch.einsum("bhk,hkgd->bghd", h, R) + bias.transpose(0, 1)
        i, f, z, o = gates.unbind(1)
        late = m + F.logsigmoid(f)
        m = torch.where(n == 0, i, torch.maximum(i, late)).detach()
        i, f = torch.exp(i - m), torch.exp(late - m)
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    return torch.stack(outputs, 1), h, c, n


def plain_mlstm(q, k, v, i, f, C, n, m, eps=1e-6):
    outputs = []
    for t in range(q.shape[1]):
        late = F.logsigmoid(f[:, t]) + m
        m = torch.maximum(late, i[:, t])
        old, new = torch.exp(late - m)[..., None], torch.exp(i[:, t] - m)[..., None]
        C = old[..., None] * C + new[..., None] * k[:, t, :, :, None] * v[:, t, :, None, :]
        n = old * n + new * k[:, t]
        query = q[:, t] * q.shape[-1] ** -0.5
        size = torch.maximum((query * n).sum(-1).abs(), torch.exp(-m)) + eps
        outputs.append(torch.einsum("bhk,bhkv->bhv", query, C) / size[..., None])
    return torch.stack(outputs, 1), C, n


def slstm_inputs(B, T, H, D, dtype, device):
    """Inputs that require a gradient, of their types: 16-bit data with float32 states."""
    state = torch.promote_types(dtype, torch.float32)
    values = [
        (torch.randn(B, T, 4, H, D), dtype), (torch.randn(H, D, 4, D) * D**-0.5, dtype),
        (torch.randn(H, 4, D), dtype), (torch.tanh(torch.randn(B, H, D)), state),
        (torch.randn(B, H, D), state), (torch.rand(B, H, D) + 0.5, state), (torch.randn(B, H, D), state),
    ]  # fmt: skip
    return [x.to(device, t).requires_grad_() for x, t in values]


def mlstm_inputs(B, T, H, K, V, dtype, device):
    """Keys and queries have a mean, so that q.n stays away from 0, near which the gradient amplifies rounding."""
    state = torch.promote_types(dtype, torch.float32)
    values = [
        (1 + 0.5 * torch.randn(B, T, H, K), dtype), (1 + 0.5 * torch.randn(B, T, H, K), dtype),
        (torch.randn(B, T, H, V), dtype), (torch.randn(B, T, H), dtype), (torch.randn(B, T, H) + 3, dtype),
        (torch.randn(B, H, K, V), state), (torch.rand(B, H, K) + 0.5, state), (torch.randn(B, H), state),
    ]  # fmt: skip
    return [x.to(device, t).requires_grad_() for x, t in values]


def slstm(wx, R, bias, *state):
    h, (h1, c1, n1, _) = xlstm_torch.slstm(wx, R, bias, state or None)
    return h, h1, c1, n1


def mlstm(q, k, v, i, f, *state):
    h, (C, n, _) = xlstm_torch.mlstm(q, k, v, i, f, state or None)
    return h, C, n


def error(got, want):
    got, want = got.detach().double().cpu(), want.detach().double().cpu()
    if not torch.isfinite(got).all():
        return float("inf")
    return ((got - want).abs().max() / want.abs().max().clamp_min(1e-30)).item()


def compare(name, ours, plain, inputs, n_results):
    """Values and gradients of `ours` against `plain` in float64 on the CPU; True if both are near."""
    exact = [x.detach().double().cpu().requires_grad_() for x in inputs]
    got, want = ours(*inputs)[:n_results], plain(*exact)[:n_results]
    weights = [torch.randn(x.shape, dtype=torch.float64) for x in want]
    dgot = torch.autograd.grad(got, inputs, [w.to(x) for w, x in zip(weights, got)])
    dwant = torch.autograd.grad(want, exact, [w.to(x.dtype).double() for w, x in zip(weights, got)])
    value = max(error(a, b) for a, b in zip(got, want))
    gradient = max(error(a, b) for a, b in zip(dgot, dwant))
    limits = TOLERANCE[inputs[0].dtype]
    ok = value <= limits[0] and gradient <= limits[1]
    type_name = str(inputs[0].dtype).removeprefix("torch.")
    print(f"{'ok ' if ok else 'BAD'} {name:34} {inputs[0].device.type:5} {type_name:9}"
          f" values {value:.1e} (limit {limits[0]:.0e}), gradients {gradient:.1e} (limit {limits[1]:.0e})")
    return ok


def check_gradients():
    ok = True
    for name, function, inputs in [
        ("slstm", slstm, slstm_inputs(2, 4, 2, 3, torch.float64, "cpu")),
        ("mlstm", mlstm, mlstm_inputs(2, 5, 2, 3, 4, torch.float64, "cpu")),
    ]:
        # h alone: final states are given relative to their m, and have their gradients at fixed m.
        good = torch.autograd.gradcheck(lambda *x: function(*x)[0], inputs, raise_exception=False)
        print(f"{'ok ' if good else 'BAD'} {name}: gradcheck")
        ok &= good
    return ok


def check_values(dtype, device):
    sizes = [(2, 5, 2, 3), (3, 70, 2, 16)] if device == "cpu" else [(3, 70, 2, 16), (4, 130, 2, 64), (2, 50, 1, 192)]
    ok = True
    for B, T, H, D in sizes:
        inputs = slstm_inputs(B, T, H, D, dtype, device)
        ok &= compare(f"slstm B={B} T={T} H={H} D={D}", slstm, plain_slstm, inputs, 4)
        inputs = mlstm_inputs(B, T, H, D, D + 8, dtype, device)
        # The final state is relative to a stabiliser that plain_mlstm differentiates: only h is compared.
        ok &= compare(f"mlstm B={B} T={T} H={H} K={D} V={D + 8}", mlstm, plain_mlstm, inputs, 1)
    return ok


def check_parts(device, dtype):
    """Two halves with the state handed over give what the whole gives; a reset forgets."""
    ok = True
    for name, function, inputs in [
        ("slstm", xlstm_torch.slstm, slstm_inputs(2, 12, 2, 8, dtype, device)[:3]),
        ("mlstm", xlstm_torch.mlstm, mlstm_inputs(2, 12, 2, 8, 8, dtype, device)[:5]),
    ]:
        n_sequences = 1 if name == "slstm" else 5
        half = lambda s: [x[:, s] if j < n_sequences else x for j, x in enumerate(inputs)]  # noqa: E731
        whole, _ = function(*inputs)
        first, state = function(*half(slice(0, 6)))
        second, _ = function(*half(slice(6, 12)), state=state)
        difference = error(torch.cat([first, second], 1), whole)
        reset = torch.zeros(2, 12, dtype=torch.uint8, device=device)
        reset[:, 6] = 1
        forgot = error(function(*inputs, reset=reset)[0][:, 6:], function(*half(slice(6, 12)))[0])
        good = max(difference, forgot) <= TOLERANCE[dtype][0]
        print(f"{'ok ' if good else 'BAD'} {name}: in two parts {difference:.1e}, after a reset {forgot:.1e} on {device}")
        ok &= good
    return ok


def check_messages():
    ok = True
    wx, R, bias = (x.detach() for x in slstm_inputs(1, 2, 1, 3, torch.float32, "cpu")[:3])
    for what, arguments, word in [
        ("a wrong shape", (wx, R[:, :2], bias), "R: shape"),
        ("a wrong type", (wx.bfloat16(), R.bfloat16(), bias.bfloat16()), "slstm:"),
        ("a wrong device", (wx, R.to("meta"), bias), "R: on meta"),
    ]:
        try:
            xlstm_torch.slstm(*arguments)
            message = "accepted"
        except RuntimeError as refusal:
            message = str(refusal).splitlines()[0]
        good = word in message
        print(f"{'ok ' if good else 'BAD'} {what}: {message}")
        ok &= good
    return ok


def print_times():
    B, T, H, D = 16, 1024, 4, 192
    for name, function, inputs in [
        ("slstm", slstm, slstm_inputs(B, T, H, D, torch.bfloat16, "cuda")),
        ("mlstm", mlstm, mlstm_inputs(B, T, H, D, D, torch.bfloat16, "cuda")),
    ]:
        for _ in range(3):
            h = function(*inputs)[0]
            h.backward(torch.ones_like(h))
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(10):
            h = function(*inputs)[0]
            h.backward(torch.ones_like(h))
        torch.cuda.synchronize()
        ms = (time.perf_counter() - begin) * 100
        print(f"   {name} bfloat16 B={B} T={T} H={H} D={D}: forward and backward in {ms:.2f} ms")


def main():
    xlstm_torch.load(sys.argv[1] if len(sys.argv) > 1 else None)
    torch.manual_seed(1)
    ok = check_gradients() & check_values(torch.float64, "cpu") & check_values(torch.float32, "cpu")
    ok &= check_parts("cpu", torch.float64) & check_messages()
    if torch.cuda.is_available():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            ok &= check_values(dtype, "cuda")
        ok &= check_parts("cuda", torch.float32)
        print_times()
    else:
        print("   no GPU here: only the CPU was checked")
    print("all ok" if ok else "something is wrong")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
