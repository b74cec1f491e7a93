"""Reject hallucinated text: hypothesis and utterance go in, the reason to reject comes out.

Whisper was trained on subtitles, and invents some on silence, noise, hum and music: "Thank you.",
"you", or one phrase over and over. No single sign tells these from speech; together they do:

- Voice activity: too little speech, or more words than can be said in that time.
- No-speech probability with a mean log probability that is not high, as in openai/whisper's
  `transcribe.py` (`no_speech_threshold`, `logprob_threshold`), where there is no evidence.
- Evidence: word confidence and voice activity, weighed together, and two facts about the text:
  Whisper hears exclamations ("Thank you!") in coughs, sneezes and cries, and a single right word
  has less confidence than a sentence.
- Interjections: what Whisper hears in a cough is often "uh" or "oh", and the speaker did cough so,
  with as much evidence as for a word. But it is no word for a robot.
- Mean log probability, where voice activity is unknown: a text that the model itself doubts.
- Compression ratio: a text that repeats itself (openai/whisper's `compression_ratio_threshold`),
  faster than a person can: "Stop! Stop! Stop!" has the speech for each of its words.

`benchmarks/hallucination_filter.py` measures all of them on sounds without speech and on speech.
"""

from collections.abc import Sequence
from dataclasses import replace
import math
import re

from ..core.audio_format import FRAME_DURATION
from ..core.replacements import rewritten
from ..core.settings import HallucinationFilterSettings, Settings
from ..core.types import Hypothesis, Outcome, Segment, Transcript, Utterance
from .attention import without_name
from .command_matcher import match, overruled
from .words import words

# A logistic regression on 161 right texts of single words, digits and sentences (clean, in noise
# of 10 and of 5 dB) against 51 texts of sneezes, babies and dogs, by tiny.en. In eight-fold
# cross-validation by recording its area under the curve is 0.98; mean log probability has 0.85,
# mean word confidence 0.92, voice activity 0.94. On base's texts it has 1.00 with these numbers.
# `min_evidence` was chosen on the texts of a whole run: the least of 154 right ones of tiny.en had
# -0.6, and of 156 of base -1.4 and then -0.5. Of the sounds' two and three had more than -1.5.
CONFIDENCE, ACTIVITY, ONE_WORD, EXCLAMATION, OFFSET = 2.0, 0.98, 2.07, -2.38, -0.52
# Words in a second of speech up to which a repetition may have been said: ten "stop" have 2.5.
# No word has so many letters as a loop within a word, "hahahaha".
REPEATED_WORDS_PER_SECOND, LONGEST_WORD = 5.0, 40
# "Uh-huh" and "mm-hmm" are answers. In other languages "um" and "er" are words.
INTERJECTION = re.compile(
    r'(a+h+|o+h+|u+h+|u+m+|u+h+m+|e+h+|e+r+m+|h+m+|m{2,}|h+[aeu]+h*|u+g+h+)', re.I
)
VOICED = 0.5  # probability from which a frame counts as speech
LEAST_LOG_CONFIDENCE = -4.0  # below, a smaller one says nothing more
MARGIN = 1e-3  # the log odds of a probability of 1 would be infinite


def rejection(
    hypothesis: Hypothesis, utterance: Utterance, settings: HallucinationFilterSettings
) -> str:
    """Return why the text is rejected, as a sentence; empty if it is accepted."""
    text = hypothesis.text
    if not words(text):
        return 'the model found no words in it'
    if not settings.enabled:
        return ''
    if not settings.interjections and _is_interjections(hypothesis):
        return 'it is a sound and no word (hallucination_filter.interjections is false)'
    if utterance.voiced < settings.min_speech:
        return (
            f'only {utterance.voiced:.2f} s of it sounds like speech '
            f'(hallucination_filter.min_speech is {settings.min_speech:g} s)'
        )
    reasons = [
        part_rejection(each, hypothesis, utterance, settings) for each in hypothesis.segments
    ]
    return reasons[0] if all(reasons) else ''


def _is_interjections(hypothesis: Hypothesis) -> bool:
    """Return whether an English text is "uh", "oh, oh" and the like."""
    if hypothesis.language not in ('', 'en'):
        return False
    said = re.findall(r"\w[\w'’-]*", hypothesis.text)  # "uh-huh" is one word, and an answer
    return all(INTERJECTION.fullmatch(each.rstrip('-')) for each in said)


def part_rejection(
    segment: Segment,
    hypothesis: Hypothesis,
    utterance: Utterance,
    settings: HallucinationFilterSettings,
) -> str:
    """Return why one of the segments of an utterance is rejected; empty if it is not."""
    count, voiced = len(words(segment.text)), utterance.voiced
    if len(hypothesis.segments) > 1:
        voiced *= _share(segment, utterance)
    # A word at the edge of the utterance may be cut off, so one more is allowed.
    if count > settings.max_words_per_second * voiced + 1:
        return (
            f'{count} words are too many for {voiced:.2f} s of speech '
            f'(hallucination_filter.max_words_per_second is {settings.max_words_per_second:g})'
        )
    return segment_rejection(segment, utterance.speech, settings, voiced)


def _share(segment: Segment, utterance: Utterance) -> float:
    """Return which part of an utterance's speech is in a segment, from 0 to 1; 1 if unknown."""
    if not utterance.speech:
        return 1.0
    first, last = round(segment.start / FRAME_DURATION), round(segment.end / FRAME_DURATION)
    there = sum(probability >= VOICED for probability in utterance.speech[first:last])
    return there / max(1, sum(probability >= VOICED for probability in utterance.speech))


def evidence(segment: Segment, speech: Sequence[float]) -> float | None:
    """Return the log odds that a segment's words were said; None if they cannot be told.

    `speech` is the probability of speech of each frame of the utterance.
    """
    first = int(segment.start / FRAME_DURATION)
    last = math.ceil(segment.end / FRAME_DURATION)
    voiced = [probability for probability in speech[first:last] if probability >= VOICED]
    if segment.mean_log_confidence is None or not voiced:
        return None
    odds = [math.log((p + MARGIN) / (1 - p + MARGIN)) for p in voiced]
    one_word = len(set(words(segment.text.lower()))) == 1  # also "Stop! Stop! Stop!"
    return (
        CONFIDENCE * max(LEAST_LOG_CONFIDENCE, segment.mean_log_confidence)
        + ACTIVITY * sum(odds) / len(odds)
        + ONE_WORD * one_word
        + EXCLAMATION * segment.text.rstrip().endswith('!')
        + OFFSET
    )


def segment_rejection(
    segment: Segment,
    speech: Sequence[float],
    settings: HallucinationFilterSettings,
    voiced: float,
) -> str:
    """Return why a segment is rejected; empty if it is not.

    `speech` is the probability of speech of each frame of the utterance, `voiced` how much of the
    segment is speech, in seconds.
    """
    found_words = words(segment.text)
    if not found_words:
        return 'the model found no words in it'
    too_fast = len(found_words) > REPEATED_WORDS_PER_SECOND * voiced
    too_long = max(map(len, found_words)) > LONGEST_WORD
    if segment.compression_ratio > settings.max_compression_ratio and (too_fast or too_long):
        return (
            f'the text repeats itself (compression ratio {segment.compression_ratio:.1f}, '
            f'hallucination_filter.max_compression_ratio is {settings.max_compression_ratio:g})'
        )
    found = evidence(segment, speech)
    if found is not None and found < settings.min_evidence:
        return (
            f'it does not sound like these words (evidence {found:.1f}, '
            f'hallucination_filter.min_evidence is {settings.min_evidence:g})'
        )
    if found is None and segment.mean_log_probability < settings.min_log_probability:
        return (
            f'the model guesses (mean log probability {segment.mean_log_probability:.2f}, '
            f'hallucination_filter.min_log_probability is {settings.min_log_probability:g})'
        )
    # Evidence tells more: a right word in noise may have a no-speech probability of 0.9.
    if (
        found is None
        and segment.no_speech_probability > settings.max_no_speech_probability
        and segment.mean_log_probability < settings.confident_log_probability
    ):
        return (
            f'the model finds no speech in it (probability {segment.no_speech_probability:.2f}, '
            'hallucination_filter.max_no_speech_probability is '
            f'{settings.max_no_speech_probability:g})'
        )
    return ''


def without_rejected(
    hypothesis: Hypothesis, utterance: Utterance, settings: HallucinationFilterSettings
) -> Hypothesis:
    """Return the hypothesis without its rejected segments."""
    if not settings.enabled:
        return hypothesis
    kept = [
        part
        for part in hypothesis.segments
        if not part_rejection(part, hypothesis, utterance, settings)
    ]
    return replace(hypothesis, segments=tuple(kept))


def filtered(
    hypothesis: Hypothesis,
    utterance: Utterance,
    settings: Settings,
    names: Sequence[str] = (),
) -> Transcript:
    """Return the transcript of an utterance: transcribed, or rejected with the reason.

    If the text begins with one of the `names` of the robot, that is taken off.
    """
    reason = rejection(hypothesis, utterance, settings.hallucination_filter)
    spoken = utterance.voiced >= settings.hallucination_filter.min_speech
    kept = hypothesis
    if not reason:
        kept = without_rejected(hypothesis, utterance, settings.hallucination_filter)
    whole, kept = kept, without_name(kept, names)
    found = match(kept, utterance, settings.commands, trusted=not reason)
    # What sounds like a command is one, although the free text is a guess.
    if reason and not (found.command.text and (spoken or found.clear)):
        return rejected(
            hypothesis,
            utterance,
            reason=f'the hallucination filter rejected the text: {reason}',
        )
    named, hypothesis = kept is not whole, overruled(found, kept)
    text, notice = rewritten(hypothesis.text, settings.text.replacements)
    if not text:
        return rejected(
            hypothesis, utterance, reason='text.replacements leave nothing of the text'
        )
    return Transcript(
        Outcome.TRANSCRIBED,
        text=text,
        raw_text=whole.text if named else hypothesis.text,
        notice=notice,
        utterance=utterance,
        hypothesis=whole if named else hypothesis,
        command=found.command,
        command_alternatives=found.alternatives,
    )


def rejected(hypothesis: Hypothesis, utterance: Utterance, reason: str) -> Transcript:
    """Return the transcript of an utterance whose text is not published on speech/text."""
    return Transcript(
        Outcome.REJECTED,
        text=hypothesis.text,
        raw_text=hypothesis.text,
        reason=reason,
        utterance=utterance,
        hypothesis=hypothesis,
    )
