"""What the doctor checks of a GPU: its device nodes, its state, and whether it computes rightly.

Files are read below a root, and programs are called by a function, so that a test can stand in for
a Jetson. The arithmetic runs on any device.
"""

from collections.abc import Callable, Iterator, Sequence
import os
from pathlib import Path
import stat
import subprocess
import time
from typing import Any

Finding = tuple[bool, str, str]
"""Whether it works, the finding, and the remedy if it does not work."""

# A process that may not open them finds no GPU. A PC has render nodes too, of any graphics card,
# and CUDA does not need them there.
OF_A_JETSON = ('nvmap', 'nvhost-*')
MORE_OF_A_JETSON = ('nvgpu/*/*', 'dri/render*')
OF_A_PC = ('nvidia[0-9]*', 'nvidiactl', 'nvidia-uvm')
# For debuggers, or for root alone; CUDA does not need them.
NOT_NEEDED = ('dbg', 'prof', 'power', 'sched')
HOT = 85.0  # degrees Celsius; a Jetson slows down from about 95
MAX_ERROR = 0.02  # of float16, relative
REMEDY_WRONG = (
    'the GPU, its driver and this build of PyTorch do not fit together: install the build for '
    'this GPU (docs/jetson.md); until then set model.attention to math, or model.device to cpu'
)


def call(command: Sequence[str]) -> str:
    """Return the output of a program; empty if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.strip() if done.returncode == 0 else ''


def may_open(path: Path) -> bool:
    """Return whether this user may use a device node as its group may.

    That is to read and write it; nvmap of a Jetson may be for reading alone.
    """
    group_writes = bool(path.stat().st_mode & stat.S_IWGRP)
    return os.access(path, os.R_OK | (os.W_OK if group_writes else 0))


def device_nodes(
    root: Path = Path('/'), allowed: Callable[[Path], bool] = may_open
) -> Iterator[Finding]:
    """Check whether this user may open the device nodes of a GPU."""

    def named(patterns: Sequence[str]) -> list[Path]:
        return [path for pattern in patterns for path in (root / 'dev').glob(pattern)]

    nodes = named(OF_A_JETSON)
    nodes = sorted([*nodes, *named(MORE_OF_A_JETSON if nodes else ()), *named(OF_A_PC)])
    nodes = [
        path
        for path in nodes
        if path.exists() and not (path.is_dir() or any(each in path.name for each in NOT_NEEDED))
    ]
    closed = [path for path in nodes if not allowed(path)]
    if closed:
        groups = sorted({str(path.stat().st_gid) for path in closed})
        names = ', '.join(f'/{path.relative_to(root)}' for path in closed[:3])
        more = f' and {len(closed) - 3} more' if len(closed) > 3 else ''
        yield (
            False,
            f'this user may not open {names}{more}, which belong to group {", ".join(groups)}',
            f'add the user to these groups; in a container: group_add: [{", ".join(groups)}] in '
            'the compose file, or docker run --group-add',
        )
    elif nodes:
        yield True, f'this user may open all {len(nodes)} device nodes of the GPU', ''


def condition(
    root: Path = Path('/'), run: Callable[[Sequence[str]], str] = call
) -> Iterator[Finding]:
    """Report power mode, clocks and temperature, where the machine tells them."""
    mode = run(['nvpmodel', '-q']).splitlines()
    if mode:
        yield True, mode[0].strip(), ''
    for folder in sorted((root / 'sys/class/devfreq').glob('*')):
        if any(each in folder.name for each in ('gpu', 'gv11b', 'ga10b', 'gp10b')):
            now, most = _number(folder / 'cur_freq'), _number(folder / 'max_freq')
            if now and most:
                yield True, f'GPU clock {now / 1e6:.0f} of at most {most / 1e6:.0f} MHz', ''
    for folder in sorted((root / 'sys/class/thermal').glob('thermal_zone*')):
        if 'gpu' in _text(folder / 'type').lower():
            value = _number(folder / 'temp')
            if value:
                degrees = value / 1000
                remedy = 'check the fan and the heat sink: the GPU slows down when it is hot'
                yield degrees < HOT, f'GPU temperature {degrees:.0f} °C', remedy
    query = 'name,temperature.gpu,clocks.sm,clocks.max.sm,power.draw'
    for line in run(['nvidia-smi', f'--query-gpu={query}', '--format=csv,noheader']).splitlines():
        name, *values = line.split(', ')
        known = [
            form.format(value)
            for form, value in zip(('{} °C', 'clock {}', 'of at most {}', '{}'), values)
            if value and '[' not in value  # a Jetson's says [N/A] to all of it
        ]
        yield True, f'{name}: {", ".join(known)}' if known else name, ''


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ''


def _number(path: Path) -> float:
    try:
        return float(_text(path))
    except ValueError:
        return 0.0


def arithmetic(device: str) -> Iterator[Finding]:
    """Check a float16 product, attention with a mask and, on a GPU, a CUDA graph."""
    checks = {'a float16 product': _product, 'attention with a mask': _attention}
    if device.startswith('cuda'):
        checks['a CUDA graph'] = _graph
    for title, check in checks.items():
        started = time.monotonic()
        try:
            error = check(device)
        except RuntimeError as failure:
            line = (str(failure).splitlines() or ['no message'])[0]
            yield False, f'{title} on {device} fails: {line}', REMEDY_WRONG
            continue
        if error < MAX_ERROR:
            yield True, f'{title} on {device} is right ({time.monotonic() - started:.1f} s)', ''
        else:
            yield False, f'{title} on {device} is wrong by {100 * error:.0f} %', REMEDY_WRONG


def _error(found: Any, right: Any) -> float:
    """Return the relative error; infinite where a value is not finite."""
    import torch

    found, right = found.cpu().float(), right.float()
    if not bool(torch.isfinite(found).all()):
        return float('inf')
    return float((found - right).norm() / right.norm())


def _random(*shape: int) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).half()


def _product(device: str) -> float:
    one = _random(512, 512)
    return _error(one.to(device) @ one.to(device), one.float() @ one.float())


def _attention(device: str) -> float:
    from ..whisper.attention import fused_attention, math_attention

    query, key = _random(1, 8, 1, 64), _random(1, 8, 448, 64)
    mask = _random(1, 1, 1, 448) * 0
    mask[..., 100:] = float('-inf')
    parts = (query, key, key, mask)
    found = fused_attention(*(part.to(device) for part in parts))
    return _error(found, math_attention(*(part.float() for part in parts)))


def _graph(device: str) -> float:
    import torch

    from ..whisper.decoding.cuda_graph import capture_graph

    one = _random(64, 64)
    source, target = one.to(device), torch.zeros(64, 64, dtype=torch.float16, device=device)

    def step() -> None:
        target.copy_(source @ source)

    replay = capture_graph(step, torch.device(device))
    source.copy_(2 * source)  # only a replay can see it
    target.zero_()
    replay()
    torch.cuda.synchronize(device)
    return _error(target, 4 * (one.float() @ one.float()))
