"""Times one training step (forward, backward, AdamW) of NX-AI's xlstm package on the CPU.

Needs the wheels torch and xlstm. The model is the one that build/cpu/tests/bench_train_step times:
xLSTM[7:1], 8 blocks, width 256, 4 heads, context 256, batch 8, vocabulary 4096, vanilla sLSTM.
Prints milliseconds per step and the share of the step inside matrix products.
"""

import argparse
import os
import time

os.environ.setdefault("XLSTM_EXTRA_INCLUDE_PATHS", "")
import torch
from xlstm import (
    FeedForwardConfig,
    mLSTMBlockConfig,
    mLSTMLayerConfig,
    sLSTMBlockConfig,
    sLSTMLayerConfig,
    xLSTMLMModel,
    xLSTMLMModelConfig,
)

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mkldnn_linear")


def build(context):
    config = xLSTMLMModelConfig(
        vocab_size=4096,
        context_length=context,
        num_blocks=8,
        embedding_dim=256,
        slstm_at=[7],
        mlstm_block=mLSTMBlockConfig(mlstm=mLSTMLayerConfig(num_heads=4)),
        slstm_block=sLSTMBlockConfig(
            slstm=sLSTMLayerConfig(num_heads=4, backend="vanilla"),
            feedforward=FeedForwardConfig(proj_factor=1.3, act_fn="gelu"),
        ),
    )
    model = xLSTMLMModel(config)
    model.reset_parameters()
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = build(args.context)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.randint(0, 4096, (args.batch, args.context + 1))

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 4096), tokens[:, 1:].reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    events = profile.key_averages()
    total = sum(e.self_cpu_time_total for e in events)
    products = sum(e.self_cpu_time_total for e in events if e.key in PRODUCTS)
    best = min(times)
    print(
        f"xlstm (PyTorch {torch.__version__}) {args.threads} threads, batch {args.batch}, context "
        f"{args.context}: {best * 1e3:.1f} ms per step (best of {args.steps}), matrix products "
        f"{100 * products / total:.1f} % = {best * products / total * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
