"""Times NX-AI's chunkwise mLSTM kernels (Triton), and causal attention, on a GPU.

Needs torch and the wheel mlstm-kernels. The shapes and the data are those of
`test_kernels_mlstm_cuda '[.bench]'`: 65,536 tokens a call, bfloat16, float32 gates i ~ N(0, 1) and f ~ N(4, 1).
Prints the median milliseconds of the forward, and of forward and backward, of every kernel that runs here; attention is
for the width of the heads' values, in heads of 128.
"""

import sys

import peer_timing
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SHAPES = [
    (32, 8, 2048, 256, 512),
    (8, 8, 8192, 256, 512),
    (32, 8, 2048, 128, 256),
    (32, 4, 2048, 128, 128),
    (32, 16, 2048, 64, 64),
    (32, 4, 2048, 384, 384),
    (1, 8, 65536, 256, 512),
]


def report(name, shape, forward, inputs):
    peer_timing.report(name, shape, forward, inputs, lambda ms: f"{ms:9.3f}")


def mlstm(shape):
    from mlstm_kernels.torch import get_mlstm_kernel

    B, H, T, K, V = shape
    data = lambda *size: torch.randn(*size, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    q, k, v = data(B, H, T, K), data(B, H, T, K), data(B, H, T, V)
    i = torch.randn(B, H, T, device="cuda", requires_grad=True)
    f = (torch.randn(B, H, T, device="cuda") + 4).requires_grad_()
    for name, chunk in (("xl_chunk", 128), ("limit_chunk", 64)):
        kernel = get_mlstm_kernel(f"chunkwise--triton_{name}")
        report(f"{name} {chunk}", shape, lambda: kernel(q=q, k=k, v=v, i=i, f=f, chunk_size=chunk), (q, k, v, i, f))


def attention(shape):
    B, H, T, _, V = shape
    size = (B, H * V // 128, T, 128)
    q, k, v = (torch.randn(size, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    for name, backend in (("attention cuDNN", SDPBackend.CUDNN_ATTENTION), ("FlashAttention-2", SDPBackend.FLASH_ATTENTION)):
        with sdpa_kernel(backend):
            report(name, shape, lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v))


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{'kernel':24s} {'B, H, T, K, V':30s} {'fwd ms':>9s} {'fwd+bwd':>9s}")
    for shape in SHAPES:
        if "--attention" in sys.argv[1:]:
            attention(shape)
        else:
            mlstm(shape)
