"""Every knob, once: name, type, default, range, unit and meaning.

The ROS parameters are the fields below, by the name `group.field`: `utterance.end_silence`. A
knob's text is its parameter's description. `takes_effect` tells when a new value is used: a
MODEL's with the next configure, a SOURCE's with the next activate, an UTTERANCE's at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .parameter_spec import (
    model_parameter,
    parameter,
    ParameterGroup,
    ParameterSpec,
    source_parameter,
    spec_of,
    TakesEffect,
    Value,
)


@dataclass(frozen=True)
class ModelSettings(ParameterGroup):
    """The Whisper checkpoint and how it runs."""

    id: str = model_parameter(
        'distil-whisper/distil-medium.en',
        'A Whisper checkpoint: its name on the Hugging Face hub, or a folder.',
    )
    revision: str = model_parameter(
        '', 'Commit, tag or branch on the hub; empty is the newest. A commit pins the model.'
    )
    offline: bool = model_parameter(False, 'Use only what is on this machine; never ask the hub.')
    assistant: str = model_parameter(
        '', 'A Distil-Whisper of the same Whisper, a name or a folder, that guesses ahead: the '
        'text is the same, and comes sooner where the model is large. Empty is none.',
    )  # fmt: skip
    device: str = model_parameter(
        'auto', 'Where the model runs: auto (a GPU if torch can use one), cpu, cuda, cuda:1.'
    )
    dtype: str = model_parameter(
        'auto',
        'Precision: auto is float16 on a GPU and int8 on a CPU, where the products with weights '
        'are in int8 and the rest is float32.',
        choices=('auto', 'float32', 'float16', 'bfloat16', 'int8'),
    )
    language: str = parameter(
        '', 'Language spoken, as "en" or "german"; empty detects it. English models ignore it.'
    )
    task: str = parameter(
        'transcribe',
        'Write what was said, or translate it to English. English models ignore it.',
        choices=('transcribe', 'translate'),
    )
    prompt: str = parameter(
        '', 'Text that guides spelling, as names that are likely to be said: "Zora, Kinect".',
        forbidden='<|',
    )  # fmt: skip
    hotwords: list[str] = parameter(
        [],
        'Rare words that are likely to be said, as names; they guide spelling as a prompt does.',
        forbidden='<|',
    )
    beam_width: int = parameter(
        1, 'Hypotheses followed at once. 1 is greedy: faster, and hardly worse.',
        low=1, high=16,
    )  # fmt: skip
    max_new_tokens: int = parameter(
        128, 'Longest text of 30 s of audio, in tokens.', low=1, high=440
    )
    audio_context_margin: float = parameter(
        -1.0, 'Silence that is encoded behind an utterance: less is faster, and too little breaks '
        'the text. -1 is what was measured for this size of model; where nothing was, and with '
        '30, all of the 30 s that Whisper was trained on are encoded.',
        low=-1.0, high=30.0, unit='s',
    )  # fmt: skip
    segment_length: float = parameter(
        28.0, 'Longer audio is cut at pauses into parts of at most this length.',
        low=5.0, high=30.0, unit='s',
    )  # fmt: skip
    batch_size: int = parameter(4, 'Parts of long audio that are decoded at once.', low=1, high=64)
    word_timestamps: bool = parameter(
        True, "Find each word's time and confidence, for speech/transcript."
    )
    warm_up: bool = model_parameter(
        True, 'Transcribe twice while configuring, so that the first request is not slower.'
    )


@dataclass(frozen=True)
class AudioSettings(ParameterGroup):
    """Where the audio comes from."""

    source: str = source_parameter(
        'microphone', 'Where the audio comes from.', choices=('microphone', 'file', 'topic')
    )
    topic: str = source_parameter(
        'audio', 'The topic that source "topic" hears: distil_whisper_msgs/Audio, as the '
        'executable "microphone" publishes it, or a message of audio_common_msgs.',
    )  # fmt: skip
    topic_sample_rate: int = source_parameter(
        16_000, 'Rate of a topic whose messages do not tell it (audio_common_msgs/AudioData).',
        low=8_000, high=384_000, unit='Hz',
    )  # fmt: skip
    topic_channels: int = source_parameter(
        1, 'Channels of a topic whose messages do not tell them.', low=1, high=64
    )
    file: str = source_parameter('', 'The recording that source "file" hears: WAV, FLAC or OGG.')
    file_realtime: bool = source_parameter(
        False, 'Hear the recording as fast as it was spoken, not as fast as it can be read.'
    )


@dataclass(frozen=True)
class MicrophoneSettings(ParameterGroup):
    """The microphone."""

    device: str = source_parameter(
        'default', 'Its name, a part of its name, its number, or "default".'
    )
    sample_rate: int = source_parameter(
        0, 'Rate to open the device with; 0 is 16000, or what the device prefers if it refuses.',
        low=0, high=384_000, unit='Hz',
    )  # fmt: skip
    channels: int = source_parameter(
        0, 'Channels to open the device with, mixed to one; 0 is 1, or what the device has.',
        low=0, high=64,
    )  # fmt: skip
    pre_roll: float = source_parameter(
        0.5, 'Audio kept from before a request, so that the first word is whole.',
        low=0.0, high=5.0, unit='s',
    )  # fmt: skip
    reopen_period: float = source_parameter(
        1.0, 'Time between attempts to open a microphone that is gone.',
        low=0.1, high=60.0, unit='s',
    )  # fmt: skip
    frame_id: str = source_parameter('microphone', 'Name of its frame, for the headers.')


@dataclass(frozen=True)
class UtteranceSettings(ParameterGroup):
    """Where an utterance begins and ends."""

    endpointing: bool = parameter(
        True, 'End the utterance when the speaker pauses; else record max_duration, always.'
    )
    wait_for_speech: float = parameter(
        5.0, 'Time that somebody has to begin to speak.', low=0.1, high=3600.0, unit='s'
    )
    max_duration: float = parameter(
        10.0, 'Longest utterance.', low=0.5, high=600.0, unit='s'
    )  # fmt: skip
    end_silence: float = parameter(
        0.7, 'Pause that ends the utterance. Shorter answers sooner, and cuts off slow speakers.',
        low=0.1, high=10.0, unit='s',
    )  # fmt: skip
    speculative: bool = parameter(
        True, 'Transcribe at each short pause already, in case the speaker is done: the text '
        'comes sooner, and work is thrown away when the speaker goes on.',
    )  # fmt: skip
    vad_threshold: float = parameter(
        0.5, 'Probability of speech from which a frame of 32 ms counts as speech.',
        low=0.05, high=0.95,
    )  # fmt: skip
    min_speech: float = parameter(
        0.1, 'Less speech than this is taken for a click or a cough, and waiting goes on.',
        low=0.0, high=2.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class HallucinationFilterSettings(ParameterGroup):
    """What must hold for a text to be published: hallucination_filter.py tells why these."""

    enabled: bool = parameter(True, 'Refuse texts that nobody seems to have said.')
    min_speech: float = parameter(
        0.15, 'Refuse a text if voice activity found less speech than this.',
        low=0.0, high=5.0, unit='s',
    )  # fmt: skip
    max_no_speech_probability: float = parameter(
        0.6, 'Refuse a text if the model takes the audio for no speech with more than this, and '
        'its mean log probability is below confident_log_probability.', low=0.0, high=1.0,
    )  # fmt: skip
    confident_log_probability: float = parameter(
        -0.3, 'Mean log probability from which a text counts although the model doubts that '
        'there is speech.', low=-10.0, high=0.0,
    )  # fmt: skip
    min_log_probability: float = parameter(
        -1.2, 'Refuse a text with a lower mean log probability.', low=-10.0, high=0.0
    )
    max_compression_ratio: float = parameter(
        2.4, 'Refuse a text that repeats itself: its length over its compressed length.',
        low=1.0, high=20.0,
    )  # fmt: skip
    max_words_per_second: float = parameter(
        8.0, 'Refuse a text with more words than can be said in the time that somebody spoke.',
        low=1.0, high=50.0, unit='1/s',
    )  # fmt: skip


@dataclass(frozen=True)
class RequestSettings(ParameterGroup):
    """What happens to requests."""

    policy: str = parameter(
        'refuse', 'What a request meets while another is under way: it is refused ("busy"), waits '
        'in a queue, or preempts the other, which is canceled.',
        choices=('refuse', 'queue', 'preempt'),
    )  # fmt: skip
    queue_length: int = parameter(
        8, 'Requests that may wait; of speech/transcribe too.', low=1, high=1000
    )
    max_audio_duration: float = parameter(
        600.0, 'Longest audio that speech/transcribe takes.', low=1.0, high=36_000.0, unit='s'
    )


@dataclass(frozen=True)
class HandsFreeSettings(ParameterGroup):
    """Hearing all the time."""

    enabled: bool = source_parameter(
        False, 'Hear every utterance from the start on; speech/hands_free switches it.'
    )
    queue_length: int = parameter(
        8, 'Utterances that may wait for their transcription; then the oldest is dropped.',
        low=1, high=100,
    )  # fmt: skip


@dataclass(frozen=True)
class PartialSettings(ParameterGroup):
    """Text while the person still speaks."""

    period: float = parameter(
        0.5, 'Time between partial texts, if the machine is fast enough; only while somebody '
        'subscribes to speech/partial or asked for them.', low=0.1, high=10.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class SelfSpeechSettings(ParameterGroup):
    """The robot does not hear itself speak."""

    topics: list[str] = source_parameter(
        [], 'Topics (std_msgs/Bool) that are true while the robot speaks.'
    )
    actions: list[str] = source_parameter(
        [], 'Actions that are under way while the robot speaks, as "say".'
    )
    tail: float = parameter(
        0.3, 'Time after the robot has spoken in which it still does not listen: its echo.',
        low=0.0, high=10.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class CommandSettings(ParameterGroup):
    """The commands that a text is mapped to."""

    phrases: list[str] = parameter([], 'Commands; a text is mapped to the most similar of them.')
    min_score: float = parameter(
        0.75, 'A text that is less similar than this is no command.', low=0.0, high=1.0
    )


@dataclass(frozen=True)
class Settings:
    """All of it."""

    model: ModelSettings = field(default_factory=ModelSettings)
    audio: AudioSettings = field(default_factory=AudioSettings)
    microphone: MicrophoneSettings = field(default_factory=MicrophoneSettings)
    utterance: UtteranceSettings = field(default_factory=UtteranceSettings)
    hallucination_filter: HallucinationFilterSettings = field(
        default_factory=HallucinationFilterSettings
    )
    requests: RequestSettings = field(default_factory=RequestSettings)
    hands_free: HandsFreeSettings = field(default_factory=HandsFreeSettings)
    partial: PartialSettings = field(default_factory=PartialSettings)
    self_speech: SelfSpeechSettings = field(default_factory=SelfSpeechSettings)
    commands: CommandSettings = field(default_factory=CommandSettings)
    autostart: bool = parameter(
        True,
        'Configure and activate the node by itself; false leaves it to a lifecycle manager.',
        takes_effect=TakesEffect.START,
    )
    diagnostics_period: float = parameter(
        1.0, 'Time between messages on /diagnostics.', low=0.1, high=60.0, unit='s',
        takes_effect=TakesEffect.START,
    )  # fmt: skip
    save_audio_directory: str = parameter(
        '', 'Folder for a WAV file of each utterance; empty, the default, writes no audio.'
    )


def parameter_specs() -> Iterator[ParameterSpec]:
    """Yield every knob in the order of this file."""
    for outer in fields(Settings):
        if 'text' in outer.metadata:
            yield spec_of(outer.name, outer)
        else:
            group = outer.default_factory  # type: ignore[misc]
            for inner in fields(group):  # type: ignore[arg-type]
                yield spec_of(f'{outer.name}.{inner.name}', inner)


def settings_from(values: dict[str, Value]) -> Settings:
    """Return settings with these values, by parameter name; check each."""
    known = {each.name: each for each in parameter_specs()}
    groups: dict[str, dict[str, Value]] = {}
    top: dict[str, Any] = {}
    for name, value in values.items():
        known[name].check(value)
        group, dot, key = name.partition('.')
        if dot:
            groups.setdefault(group, {})[key] = value
        else:
            top[group] = value
    settings = Settings()
    for group, changes in groups.items():
        top[group] = replace(getattr(settings, group), **changes)
    return replace(settings, **top)
