"""Smart Turn: does the speaker sound done? An ONNX model, by way of onnxruntime.

pipecat-ai/smart-turn, version 3 (BSD-2-Clause): the encoder of Whisper tiny with a classifier, in
int8, for 23 languages. It hears the last 8 s, with zeros in front of shorter speech.

It has a thread of its own, in which it is also loaded: whoever listens never waits for it. Without
a file or onnxruntime there is one notice, and no answer ever.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..audio.log_mel import BANDS, log_mel, STEP
from ..core.audio_format import SAMPLE_RATE, Samples
from ..core.errors import ModelError, SpeechError, unexpected
from ..core.scheduler import Job, JobContext, Priority, Scheduler

HEARD = 8 * SAMPLE_RATE  # samples that the model takes
INPUT = 'input_features'
LARGEST = 500_000_000  # bytes of the file; the real one has 9 MB


class TurnDetector:
    """Answers whether a person who pauses is done. Any thread may call it."""

    def __init__(
        self,
        find: Callable[[], Path],
        on_notice: Callable[[str], None] = lambda notice: None,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        """`find` returns the model's file or raises a SpeechError; it may take its time.

        `on_notice` gets one sentence if there is no model, `on_failure` unexpected exceptions.
        """
        self._find = find
        self._on_notice = on_notice
        self._scheduler = Scheduler(on_failure, 'turn detector')
        self._session: Any = None
        self._failed = False

    def load(self) -> Job:
        """Start to load the model, so that the first question is answered in time."""
        return self._scheduler.submit(Priority.SPECULATIVE, lambda context: self._ready())

    def ask(self, samples: Samples) -> Job | None:
        """Start to judge speech that ends in a pause; None without a model.

        The job's result is the probability that the speaker is done, or None without a model.
        """
        if self._failed:
            return None
        return self._scheduler.submit(
            Priority.SPECULATIVE, lambda context: self._judge(samples, context)
        )

    @property
    def busy(self) -> bool:
        """Whether it judges a pause, or will at once; not while it finds and loads the model."""
        return self._session is not None and not self._scheduler.idle

    def close(self) -> None:
        """End every job, and free the memory."""
        self._scheduler.close()
        self._session, self._failed = None, True

    def _judge(self, samples: Samples, context: JobContext) -> float | None:
        if not self._ready():
            return None
        context.check()
        heard = samples[-HEARD:]
        return judged(self._session, np.pad(heard, (HEARD - len(heard), 0)))

    def _ready(self) -> bool:
        """Load the model, unless that was tried before; return whether it is there."""
        if self._session is None and not self._failed:
            try:
                self._session = load(self._find())
            except Exception as error:
                self._failed = True
                reason = error if isinstance(error, SpeechError) else unexpected(error)
                problem = (
                    f'without turn detection, utterances end after utterance.end_silence: {reason}'
                )
                self._on_notice(problem)
        return not self._failed


def load(path: Path) -> Any:
    """Return the session of a model; raise a ModelError with the remedy."""
    try:
        import onnxruntime
    except Exception as error:  # numpy of another version has several
        if isinstance(error, ModuleNotFoundError) and error.name == 'onnxruntime':
            raise ModelError(
                'onnxruntime is not installed: pip install onnxruntime, or set '
                'utterance.turn_detection to silence'
            ) from error
        raise ModelError(
            f'onnxruntime cannot be imported ({first_line(error)}): install it again, with the '
            'numpy that it wants, or set utterance.turn_detection to silence'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # The threads must not spin between questions.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    reason = ''
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f'it has more than {LARGEST} bytes')
        session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
        (only,) = session.get_inputs()
        if (only.name, only.shape[1:]) == (INPUT, [BANDS, HEARD // STEP]):
            if 0.0 <= judged(session, np.zeros(HEARD, np.float32)) <= 1.0:
                return session
            reason = 'no probability'
    except Exception as error:  # onnxruntime has many, without a common base
        reason = first_line(error)
    raise ModelError(
        f'{path} cannot be used as Smart Turn ({reason or "another input"}): fetch '
        'smart-turn-v3.2-cpu.onnx again'
    )


def judged(session: Any, heard: Samples) -> float:
    """Return a model's probability that the speaker is done; it takes HEARD samples."""
    (probability,) = session.run(None, {INPUT: log_mel(heard)[None]})
    return float(probability[0, 0])


def first_line(error: Exception) -> str:
    """Return what an exception of a library says, short."""
    return str(error).partition('\n')[0][:200] or type(error).__name__
