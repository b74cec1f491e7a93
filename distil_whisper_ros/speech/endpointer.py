"""Where an utterance begins and ends, from probabilities of speech alone.

Time is counted in frames; there is no clock, no audio and no model here. The hysteresis (a lower
threshold to go on than to begin) is Silero's own: snakers4/silero-vad, `VADIterator`.
"""

from bisect import bisect_left
import math

from ..core.audio_format import frame_count, FRAME_DURATION
from ..core.settings import UtteranceSettings
from ..core.types import Ending

ONSET = 3  # voiced frames, net of unvoiced ones, that begin an utterance: a click has fewer
DELAY = 2  # frames after its start that voice activity notices speech
ONSET_AGE = 10  # frames in which those must come; the utterance buffer keeps as many
HYSTERESIS = 0.15


class Endpointer:
    """Follows one utterance; `step` takes a frame's probability and returns an ending.

    Attributes
    ----------
    index: frames seen so far.
    speech_start, speech_end: first frame of speech, and the one behind the last; None before.
    voiced: frames of speech so far.
    required_pause: frames of silence that end the utterance, where that is not `end_silence`.

    """

    def __init__(
        self,
        settings: UtteranceSettings,
        pre_roll: float = 0.0,
        waits_forever: bool = False,
        waited: int = 0,
    ) -> None:
        """`pre_roll` is the audio kept from before the speech, in seconds; it counts as duration.

        With `waits_forever`, `wait_for_speech` does not end the utterance. `waited` frames of
        that time were used up before.
        """
        self._settings = settings
        self._pre_roll = round(pre_roll / FRAME_DURATION)
        # Rounded down, since the maximum is never exceeded.
        self._max_frames = max(1, int(settings.max_duration / FRAME_DURATION))
        wait = frame_count(settings.wait_for_speech) - waited
        self._wait_frames = math.inf if waits_forever else wait
        self._silence_frames = frame_count(settings.end_silence)
        self.required_pause: int | None = None
        self.index = 0
        self._forget()

    def _forget(self) -> None:
        self.speech_start: int | None = None
        self.speech_end: int | None = None
        self.voiced = 0
        self._voiced_at: list[int] = []
        self._onset = 0
        self._onset_start = 0

    @property
    def speaking(self) -> bool:
        """Whether speech started."""
        return self.speech_start is not None

    @property
    def pause(self) -> int:
        """Frames since the last frame of speech; 0 before there was any."""
        return 0 if self.speech_end is None else self.index - self.speech_end

    def step(self, probability: float) -> Ending | None:
        """Take the next frame's probability of speech; return why the utterance is over, if so."""
        threshold = self._settings.vad_threshold
        if self.speaking:
            threshold = max(0.01, threshold - HYSTERESIS)
        self._follow(probability >= threshold)
        self.index += 1
        if not self._settings.endpointing:
            return Ending.MAX_DURATION if self.index >= self._max_frames else None
        if self.speech_start is None:
            return Ending.NO_SPEECH if self.index >= self._allowed else None
        if self.pause >= (self.required_pause or self._silence_frames):
            if self._is_speech:
                return Ending.SILENCE
            self._forget()
            return Ending.NO_SPEECH if self.index >= self._allowed else None
        first = max(0, self.speech_start - self._pre_roll)
        return Ending.MAX_DURATION if self.index - first >= self._max_frames else None

    def voiced_from(self, index: int) -> int:
        """Return how many frames of speech came at `index` and later."""
        return len(self._voiced_at) - bisect_left(self._voiced_at, index)

    @property
    def complete(self) -> bool:
        """Whether the pause is as long as `required_pause`, which changes between frames."""
        required = self.required_pause
        return required is not None and self.pause >= required and self._is_speech

    @property
    def _is_speech(self) -> bool:
        return self.voiced * FRAME_DURATION >= self._settings.min_speech

    @property
    def _allowed(self) -> float:
        """Frames to wait for speech; an onset within them gets time to be confirmed."""
        return self._wait_frames + DELAY + (ONSET_AGE if self._onset else 0)

    def _follow(self, voiced: bool) -> None:
        if self.speaking:
            if voiced:
                self.voiced += 1
                self._voiced_at.append(self.index)
                self.speech_end = self.index + 1
            return
        if self._onset and self.index - self._onset_start >= ONSET_AGE:
            self._onset = 0  # too long ago: the frames there are gone
        if not voiced:
            self._onset = max(0, self._onset - 1)
            return
        if not self._onset:
            self._onset_start = self.index
        self._onset += 1
        if self._onset >= ONSET:
            self.speech_start = self._onset_start
            self.speech_end = self.index + 1
            self.voiced = self._onset
