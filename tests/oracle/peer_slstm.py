"""Times the recurrences of others on a GPU: FlashRNN's sLSTM, and cuDNN's LSTM, which has no exponential gates.

Needs torch and the wheel flashrnn. The shapes are those of `test_kernels_slstm_cuda '[.bench]'`: T = 1024, bfloat16.
Prints the median microseconds a time step of the forward, and of forward and backward. FlashRNN gets the
pre-activations of its input ready made; cuDNN also makes them, and its heads are one dense layer, so it runs only
where there is one. `--fused` adds FlashRNN's fused CUDA kernels, which it compiles for every shape first.
"""

import sys

import peer_timing
import torch

STEPS = 1024
SHAPES = [  # heads, units of a head, batch
    (12, 64, 16),
    (8, 128, 16),
    (4, 192, 16),
    (4, 256, 16),
    (1, 768, 16),
    (12, 64, 64),
    (4, 256, 64),
    (12, 64, 1),
]


def report(name, shape, forward, inputs):
    peer_timing.report(name, shape, forward, inputs, lambda ms: f"{ms * 1000 / STEPS:9.2f}", warm_ups=2, repeats=7)


def flashrnn_slstm(shape, backend):
    from flashrnn import flashrnn

    H, D, B = shape
    data = lambda *size: torch.randn(*size, device="cuda", dtype=torch.bfloat16)
    Wx = data(B, STEPS, 4, H, D).requires_grad_()
    R = (data(4, H, D, D) / D**0.5).requires_grad_()
    b = data(4, H, D).requires_grad_()
    states = torch.zeros(4, B, 1, H, D, device="cuda", dtype=torch.bfloat16)
    call = lambda: flashrnn(Wx, R, b, states=states, function="slstm", backend=backend)[0][0]
    report(f"FlashRNN {backend}", shape, call, (Wx, R, b))


def cudnn_lstm(shape, dtype):
    H, D, B = shape
    lstm = torch.nn.LSTM(D, D, device="cuda", dtype=dtype)
    x = torch.randn(STEPS, B, D, device="cuda", dtype=dtype, requires_grad=True)
    report(f"cuDNN LSTM {str(dtype)[6:]}", shape, lambda: lstm(x)[0], (x, *lstm.parameters()))


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{'kernel':24s} {'heads, units, B':30s} {'fwd us':>9s} {'fwd+bwd':>9s}")
    for shape in SHAPES:
        if "--fused" in sys.argv[1:]:
            flashrnn_slstm(shape, "cuda_fused")
            continue
        flashrnn_slstm(shape, "triton_fused")
        if shape[0] == 1:
            for dtype in (torch.float16, torch.bfloat16):
                cudnn_lstm(shape, dtype)
