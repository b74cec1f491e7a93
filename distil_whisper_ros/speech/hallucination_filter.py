"""Reject hallucinated text: hypothesis and utterance go in, the reason to reject comes out.

Whisper was trained on subtitles, and invents some on silence, noise, hum and music: "Thank you.",
"you", or one phrase over and over. No single sign tells these from speech; together they do:

- Voice activity: too little speech, or more words than can be said in that time.
- No-speech probability with a mean log probability that is not high, as in openai/whisper's
  `transcribe.py` (`no_speech_threshold`, `logprob_threshold`).
- Mean log probability: a text that the model itself doubts.
- Compression ratio: a text that repeats itself (openai/whisper's `compression_ratio_threshold`).

`benchmarks/hallucination_filter.py` measures all of them on sounds without speech and on speech.
"""

from dataclasses import replace

from ..core.settings import HallucinationFilterSettings, Settings
from ..core.types import Hypothesis, Outcome, Segment, Transcript, Utterance
from .command_matcher import match
from .words import words


def rejection(
    hypothesis: Hypothesis, utterance: Utterance, settings: HallucinationFilterSettings
) -> str:
    """Return why the text is rejected, as a sentence; empty if it is accepted."""
    text = hypothesis.text
    if not words(text):
        return 'the model found no words in it'
    if not settings.enabled:
        return ''
    if utterance.voiced < settings.min_speech:
        return (
            f'only {utterance.voiced:.2f} s of it sounds like speech '
            f'(hallucination_filter.min_speech is {settings.min_speech:g} s)'
        )
    # A word at the edge of the utterance may be cut off, so one more is allowed.
    possible = settings.max_words_per_second * utterance.voiced + 1
    if len(words(text)) > possible:
        return (
            f'{len(words(text))} words are too many for {utterance.voiced:.2f} s of speech '
            f'(hallucination_filter.max_words_per_second is {settings.max_words_per_second:g})'
        )
    reasons = [segment_rejection(segment, settings) for segment in hypothesis.segments]
    return reasons[0] if all(reasons) else ''


def segment_rejection(segment: Segment, settings: HallucinationFilterSettings) -> str:
    """Return why a segment is rejected, from the model's own numbers alone; empty if it is not."""
    if not words(segment.text):
        return 'the model found no words in it'
    if segment.compression_ratio > settings.max_compression_ratio:
        return (
            f'the text repeats itself (compression ratio {segment.compression_ratio:.1f}, '
            f'hallucination_filter.max_compression_ratio is {settings.max_compression_ratio:g})'
        )
    if segment.mean_log_probability < settings.min_log_probability:
        return (
            f'the model guesses (mean log probability {segment.mean_log_probability:.2f}, '
            f'hallucination_filter.min_log_probability is {settings.min_log_probability:g})'
        )
    if (
        segment.no_speech_probability > settings.max_no_speech_probability
        and segment.mean_log_probability < settings.confident_log_probability
    ):
        return (
            f'the model finds no speech in it (probability {segment.no_speech_probability:.2f}, '
            'hallucination_filter.max_no_speech_probability is '
            f'{settings.max_no_speech_probability:g})'
        )
    return ''


def without_rejected(hypothesis: Hypothesis, settings: HallucinationFilterSettings) -> Hypothesis:
    """Return the hypothesis without the segments that the model itself doubts."""
    if not settings.enabled:
        return hypothesis
    kept = [part for part in hypothesis.segments if not segment_rejection(part, settings)]
    return replace(hypothesis, segments=tuple(kept))


def filtered(hypothesis: Hypothesis, utterance: Utterance, settings: Settings) -> Transcript:
    """Return the transcript of an utterance: transcribed, or rejected with the reason."""
    reason = rejection(hypothesis, utterance, settings.hallucination_filter)
    if reason:
        return Transcript(
            Outcome.REJECTED,
            text=hypothesis.text,
            reason=f'the hallucination filter rejected the text: {reason}',
            utterance=utterance,
            hypothesis=hypothesis,
        )
    hypothesis = without_rejected(hypothesis, settings.hallucination_filter)
    command, score = match(hypothesis.text, settings.commands.phrases)
    return Transcript(
        Outcome.TRANSCRIBED,
        text=hypothesis.text,
        utterance=utterance,
        hypothesis=hypothesis,
        command=command if score >= settings.commands.min_score else '',
        command_score=score,
    )
