"""How the scripts beside this one time other programs on a GPU."""

import statistics

import torch


def median_ms(call, warm_ups, repeats):
    for _ in range(warm_ups):
        call()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def report(name, shape, forward, inputs, text, warm_ups=3, repeats=10):
    """Prints a line with the median of the forward, and of forward and backward; `text` writes milliseconds."""
    try:
        out = forward()
        grad = torch.randn_like(out)

        def both():
            for x in inputs:
                x.grad = None
            forward().backward(grad)

        with torch.no_grad():
            ms = median_ms(forward, warm_ups, repeats)
        print(f"{name:24s} {str(shape):30s} {text(ms)} {text(median_ms(both, warm_ups, repeats))}", flush=True)
    except Exception as error:  # a peer that does not run here is a finding, not a failure
        print(f"{name:24s} {str(shape):30s} fails: {type(error).__name__}: {str(error).splitlines()[0][:80]}", flush=True)
