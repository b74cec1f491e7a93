"""The text and Smart Turn beside each other: what a core that is left free is worth.

    python benchmarks/shared_cores.py

At a pause both are computed at once. The encoder has a thread for each core, and leaves one to
Smart Turn, or not. The rows take turns; the times are medians, from the pause on.
"""

from collections.abc import Iterator
import statistics
import time

import numpy as np
from robot import goforward, MODEL, TURN_MODEL
import torch

from distil_whisper_ros.core.scheduler import Priority, Scheduler
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.turn_detector import TurnDetector
from distil_whisper_ros.whisper.checkpoint import find_turn_model
from distil_whisper_ros.whisper.transcriber import Transcriber

ROUNDS = 40
BETWEEN = 0.05  # s
ROWS = {
    'the text alone': (True, False, False),
    'Smart Turn alone': (False, True, False),
    'both, a thread for each core': (True, True, False),
    'both, one core less': (True, True, True),
}


def main() -> None:
    detector = TurnDetector(lambda: find_turn_model(str(TURN_MODEL), True, print))
    detector.load().future.result()
    share = False
    scheduler = Scheduler()
    loading = scheduler.submit(
        Priority.FINAL,
        lambda _: Transcriber(
            ModelSettings(id=str(MODEL)), shares_cores=lambda: share and detector.busy
        ),
    )
    transcriber = loading.future.result()
    utterance = Utterance.whole(goforward())

    def measure(text: bool, turn: bool) -> Iterator[float]:
        """Yield how long the text and Smart Turn take; NaN for what is not asked for."""
        done = [float('nan')] * 2
        begun = time.perf_counter()

        def note(place: int) -> None:
            done[place] = time.perf_counter() - begun

        jobs = []
        if turn:
            jobs.append(detector.ask(utterance.samples))
            jobs[-1].when_done(lambda _: note(1))
        if text:
            work = scheduler.submit(Priority.SPECULATIVE, lambda job: transcriber(utterance))
            work.when_done(lambda _: note(0))
            jobs.append(work)
        for job in jobs:
            job.future.result()
        time.sleep(BETWEEN)
        yield from done

    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in ROWS}
    for _ in range(ROUNDS):
        for name, (text, turn, share) in ROWS.items():
            times[name].append(tuple(measure(text, turn)))
    threads = torch.get_num_threads()
    print(f'{MODEL.name}, {len(utterance.samples) / 16000:.1f} s of speech, {threads} cores')
    print(f'{"":30}{"text s":>8}{"Smart Turn s":>14}')
    for name, found in times.items():
        columns = [statistics.median(column) for column in np.array(found).T.tolist()]
        shown = ['' if np.isnan(value) else f'{value:.3f}' for value in columns]
        print(f'{name:30}{shown[0]:>8}{shown[1]:>14}')
    scheduler.close()
    detector.close()


if __name__ == '__main__':
    main()
