"""Every parameter, once: name, type, default, range, unit and description.

The ROS parameters are the fields below, named `group.field`: `utterance.end_silence`. A field's
text is its parameter's description. `takes_effect` says when a new value is used: with the next
start, configure or activate, or at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
import re
from typing import Any

from rapidfuzz import fuzz, process

from .command_file import command_file, read_command_file
from .command_grammar import Wording, wordings
from .errors import SettingError
from .parameter_spec import (
    model_parameter,
    parameter,
    ParameterGroup,
    ParameterSpec,
    source_parameter,
    spec_of,
    start_parameter,
    Value,
)
from .replacements import MOST, rules
from .scripts import is_dense

LEAST_LETTERS, LONGEST_PHRASE, MOST_PHRASES = 3, 50, 20  # of wake phrases
# The decoder takes a prompt of about 1000 letters.
LONGEST_PROMPT, LONGEST_HOTWORD, MOST_HOTWORDS = 10_000, 200, 1000


def check_wake_phrase(text: str) -> None:
    """Raise a SettingError for a text that nobody can call a robot by."""
    letters = sum(each.isalnum() for each in text)
    # A character of Chinese or Japanese is as long as a syllable.
    least = 2 if any(is_dense(each) for each in text) else LEAST_LETTERS
    if '\0' in text:
        raise SettingError(
            f'hands_free.wake_phrases has {text[:LONGEST_PHRASE]!r}, but must not have a zero '
            'character'
        )
    if text and not (least <= letters and len(text) <= LONGEST_PHRASE):
        raise SettingError(
            f'hands_free.wake_phrases has {text[:LONGEST_PHRASE]!r}, which is not a name of '
            f'{LEAST_LETTERS} to {LONGEST_PHRASE} letters: write it as "hey robot"'
        )


def check_voice(text: str) -> None:
    """Raise a SettingError for a text that cannot be part of a topic's name."""
    if text and not re.fullmatch('[A-Za-z][A-Za-z0-9_]{0,63}', text):
        raise SettingError(
            f'humans.voice is {text[:64]!r}, but must be letters, digits and _ (64 at most), with '
            'a letter first'
        )


def check_save_folder(text: str) -> None:
    """Raise a SettingError for a path in the home of nobody."""
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise SettingError(
            f'save_audio_directory is {text!r}, but there is no user of that name: write the '
            'whole path'
        ) from error


@dataclass(frozen=True)
class ModelSettings(ParameterGroup):
    """The Whisper checkpoint and how it runs."""

    id: str = model_parameter(
        'distil-whisper/distil-medium.en',
        'Whisper checkpoint: a name on the Hugging Face hub, or a folder.',
    )
    revision: str = model_parameter(
        '',
        'Commit, tag or branch on the hub; a commit pins the model. Empty uses the model in the '
        'cache, or downloads the newest.',
    )
    offline: bool = model_parameter(
        False, 'Use only files on this machine; never connect to the hub.'
    )
    assistant: str = model_parameter(
        '', 'Distil-Whisper checkpoint, a name or a folder, for speculative decoding. It must be '
        'distilled from the same Whisper. The text stays the same; large models run faster. '
        'Empty disables it.',
    )  # fmt: skip
    device: str = model_parameter(
        'auto', 'Device for the model: auto (a GPU if PyTorch can use one), cpu, cuda or cuda:1.'
    )
    dtype: str = model_parameter(
        'auto',
        'Precision of the weights. auto uses float16 on a GPU, and int8 weights with float32 '
        'activations on a CPU.',
        choices=('auto', 'float32', 'float16', 'bfloat16', 'int8'),
    )
    engine: str = model_parameter(
        'auto',
        'How to run the model. fast is the code of this package. transformers is slower, and '
        'knows all architectures. auto uses fast where it knows the architecture.',
        choices=('auto', 'fast', 'transformers'),
    )
    cuda_graph: bool = model_parameter(
        True,
        'Encode and decode with CUDA graphs on a GPU, which is faster. The self-test in the '
        'warm-up switches off what differs.',
    )
    attention: str = model_parameter(
        'auto',
        'How to compute attention: sdpa is the fused kernels of PyTorch, math is plain products. '
        'auto uses sdpa, or math where the self-test in the warm-up shows that sdpa fails.',
        choices=('auto', 'sdpa', 'math'),
    )
    language: str = parameter(
        '', 'Spoken language, as "en" or "german". Empty detects it. English models ignore it.'
    )
    languages: list[str] = parameter(
        [],
        'Languages that people may speak, as ["en", "de"]: each segment is in the likeliest of '
        'them. Empty allows every language of the model.',
    )
    task: str = parameter(
        'transcribe',
        'Transcribe the speech, or translate it to English. English models ignore it.',
        choices=('transcribe', 'translate'),
    )
    prompt: str = parameter(
        '', 'Text that guides the spelling, with names that people are likely to say: '
        '"Zora, Kinect".',
        forbidden='<|', longest=LONGEST_PROMPT,
    )  # fmt: skip
    hotwords: list[str] = parameter(
        [],
        'Rare words that people are likely to say. They guide the spelling as a prompt does, and '
        'more with a beam_width of 0 or 5.',
        forbidden='<|',
        longest=LONGEST_HOTWORD,
        most=MOST_HOTWORDS,
    )
    beam_width: int = parameter(
        1,
        'Beam width. 1 (greedy) is the fastest. 5 has fewer wrong words in sentences in noise, '
        'but more in single words. 0 is automatic: greedy, and what is in doubt again with 6. It '
        'has fewer wrong words in both.',
        low=0, high=16,
    )  # fmt: skip
    max_new_tokens: int = parameter(
        448,
        'Maximum number of tokens generated per 30 s segment. 448, the default, is all that '
        'the decoder holds; speech with more tokens is decoded in several steps.',
        low=1, high=448,
    )  # fmt: skip
    audio_context_margin: float = parameter(
        -1.0, 'Silence added to the audio context after an utterance. Less is faster; too little '
        'damages the text. -1 uses 7 for tiny and base and 10 for larger models; speech_calibrate '
        'finds the value of a model. 30 encodes the full audio context of 30 s.',
        low=-1.0, high=30.0, unit='s',
    )  # fmt: skip
    segment_length: float = parameter(
        28.0, 'Maximum length of a segment. Longer audio is cut at pauses.',
        low=5.0, high=30.0, unit='s',
    )  # fmt: skip
    batch_size: int = parameter(
        4, 'Number of segments of long audio to decode in one batch.', low=1, high=64
    )
    word_timestamps: bool = parameter(
        True, 'Add the time and the confidence of each word to speech/transcript.'
    )
    warm_up: bool = model_parameter(
        True,
        'Run the model while configuring, so that the first request is not slower, and test '
        'it with a spoken clip.',
    )
    unload_after: float = parameter(
        0.0, 'Time without a request after which the memory of the model is freed. The next '
        'request loads it again while the person speaks. 0 keeps it.',
        low=0.0, high=86_400.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class DecodingSettings(ModelSettings):
    """The settings of the model, with what a request wants to know from the decoder."""

    wordings: tuple[str, ...] = ()
    """Wordings of the commands that the audio is compared with."""
    draft: bool = False
    """Whether the text is wanted soon, and only if it is short: less silence is encoded behind the
    speech, and nothing is decoded twice."""


@dataclass(frozen=True)
class AudioSettings(ParameterGroup):
    """The source of the audio."""

    source: str = source_parameter(
        'microphone', 'Source of the audio.', choices=('microphone', 'file', 'topic')
    )
    topic: str = source_parameter(
        'audio', 'Topic for the source "topic". Its type is distil_whisper_msgs/Audio, which the '
        'executable "microphone" publishes, or a message of audio_common_msgs.',
    )  # fmt: skip
    topic_sample_rate: int = source_parameter(
        16_000, 'Sample rate to assume when the message type has none '
        '(audio_common_msgs/AudioData).', low=8_000, high=384_000, unit='Hz',
    )  # fmt: skip
    topic_channels: int = source_parameter(
        1, 'Number of channels to assume when the message type has none.', low=1, high=64
    )
    file: str = source_parameter(
        '',
        'Recording for the source "file": WAV, FLAC, OGG, MP3 or Opus; M4A and '
        'WebM where PyAV is installed.',
    )
    file_realtime: bool = source_parameter(False, 'Play the recording in real time.')


@dataclass(frozen=True)
class MicrophoneSettings(ParameterGroup):
    """The microphone."""

    device: str = source_parameter(
        'default', 'Name of the microphone, a part of its name, its number, or "default".'
    )
    sample_rate: int = source_parameter(
        0, 'Sample rate of the device. 0 uses 16000, or the preferred rate of the device if it '
        'refuses 16000.', low=0, high=384_000, unit='Hz',
    )  # fmt: skip
    channels: int = source_parameter(
        0, 'Number of channels to open. 0 opens 1, or all if the device refuses 1 or '
        'microphone.channel is set.',
        low=0, high=64,
    )  # fmt: skip
    channel: int = source_parameter(
        -1, 'Channel to use of several, counted from 0, as channel 0 of a microphone array; also '
        'of a recording or a topic. -1 mixes all.', low=-1, high=63,
    )  # fmt: skip
    pre_roll: float = source_parameter(
        0.5, 'Length of the audio kept from before a request, so that the first word is complete.',
        low=0.0, high=5.0, unit='s',
    )  # fmt: skip
    reopen_period: float = source_parameter(
        1.0, 'Time between attempts to open a lost microphone.', low=0.1, high=60.0, unit='s'
    )
    frame_id: str = source_parameter(
        'microphone', 'Frame of the microphone, for the headers of messages.'
    )


@dataclass(frozen=True)
class UtteranceSettings(ParameterGroup):
    """Where an utterance begins and ends."""

    endpointing: bool = parameter(
        True, 'End the utterance when the speaker pauses. If false, always record max_duration.'
    )
    wait_for_speech: float = parameter(
        5.0, 'How long to wait for speech to start.', low=0.1, high=3600.0, unit='s'
    )
    max_duration: float = parameter(
        10.0, 'Maximum length of an utterance.', low=0.5, high=600.0, unit='s'
    )
    end_silence: float = parameter(
        0.7, 'Length of the pause that ends the utterance where turn detection does not tell '
        'whether the speaker is done. A shorter pause gives a faster answer, but cuts off slow '
        'speakers.', low=0.1, high=10.0, unit='s',
    )  # fmt: skip
    turn_detection: str = parameter(
        'auto', 'How to tell at a pause whether the speaker is done: by Smart Turn, which hears '
        'it in the voice, and the text so far (auto), by Smart Turn alone, or by the silence '
        'alone. Without the file of Smart Turn, by the silence.',
        choices=('auto', 'smart_turn', 'silence'),
    )  # fmt: skip
    turn_threshold: float = parameter(
        0.5, 'Probability of Smart Turn from which the speaker counts as done.',
        low=0.05, high=0.99,
    )  # fmt: skip
    turn_model: str = model_parameter(
        'pipecat-ai/smart-turn-v3',
        'Smart Turn: a name on the Hugging Face hub, a folder, or an ONNX file.',
    )
    max_pause: float = parameter(
        2.0, 'Longest pause within the utterance, where turn detection expects the speaker to go '
        'on. A value below end_silence counts as that.', low=0.1, high=30.0, unit='s',
    )  # fmt: skip
    speculative: bool = parameter(
        True, 'Start to transcribe at each short pause, before the utterance ends. The text comes '
        'sooner; if the speaker goes on, the work is lost.',
    )  # fmt: skip
    vad_threshold: float = parameter(
        0.5, 'Probability of speech at which a frame of 32 ms counts as speech.',
        low=0.05, high=0.95,
    )  # fmt: skip
    far_voice: float = parameter(
        12.0, 'A voice that is so much quieter than the person who speaks counts as a pause, as a '
        'television. 0 takes all voices for the person.', low=0.0, high=60.0, unit='dB',
    )  # fmt: skip
    min_speech: float = parameter(
        0.1, 'Ignore speech shorter than this, as a click or a cough, and wait on.',
        low=0.0, high=2.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class HallucinationFilterSettings(ParameterGroup):
    """The conditions for a text to be published: see speech/hallucination_filter.py."""

    enabled: bool = parameter(True, 'Filter out hallucinated text.')
    min_speech: float = parameter(
        0.15, 'Reject a text if voice activity found less speech than this.',
        low=0.0, high=5.0, unit='s',
    )  # fmt: skip
    max_no_speech_probability: float = parameter(
        0.6, 'Where there is no evidence, reject a text if its no-speech probability is above '
        'this and its mean log probability is below confident_log_probability.',
        low=0.0, high=1.0,
    )  # fmt: skip
    confident_log_probability: float = parameter(
        -0.3, 'Mean log probability above which a text is kept in spite of its no-speech '
        'probability.', low=-10.0, high=0.0,
    )  # fmt: skip
    min_evidence: float = parameter(
        -1.5, 'Reject a text with less evidence: log odds from word confidence and voice '
        'activity.', low=-100.0, high=100.0,
    )  # fmt: skip
    interjections: bool = parameter(
        False, 'Accept a text of English interjections alone, as "uh" and "oh": Whisper hears '
        'them in coughs.',
    )  # fmt: skip
    min_log_probability: float = parameter(
        -1.2, 'Where there is no evidence, since voice activity is unknown: reject a text with a '
        'lower mean log probability than this.', low=-10.0, high=0.0,
    )  # fmt: skip
    max_compression_ratio: float = parameter(
        2.4, 'Reject a text that repeats itself: its length over its compressed length is above '
        'this.', low=1.0, high=20.0,
    )  # fmt: skip
    max_words_per_second: float = parameter(
        8.0, 'Reject a text with more words per second of speech than this.',
        low=1.0, high=50.0, unit='1/s',
    )  # fmt: skip


@dataclass(frozen=True)
class RequestSettings(ParameterGroup):
    """Rules for requests."""

    policy: str = parameter(
        'refuse', 'What happens to a request while another one is active: it is refused ("busy"), '
        'it waits in a queue, or it preempts and cancels the other one.',
        choices=('refuse', 'queue', 'preempt'),
    )  # fmt: skip
    queue_length: int = parameter(
        8, 'Maximum number of waiting requests; for speech/transcribe too.', low=1, high=1000
    )
    max_audio_duration: float = parameter(
        600.0, 'Maximum length of the audio for speech/transcribe.',
        low=1.0, high=36_000.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class HandsFreeSettings(ParameterGroup):
    """Listening all the time."""

    enabled: bool = source_parameter(
        False, 'Transcribe every utterance, without a request, from the activation on. '
        'speech/hands_free switches it.',
    )  # fmt: skip
    queue_length: int = parameter(
        8, 'Maximum number of utterances that wait for their transcription. Above it the oldest '
        'one is dropped.', low=1, high=100,
    )  # fmt: skip
    wake_phrases: list[str] = parameter(
        [],
        'Names of the robot, as "hey robot": only what begins with one of them is published. '
        'Empty, the default, publishes every utterance. Requests need no name.',
        forbidden='<|',
        check_text=check_wake_phrase,
        most=MOST_PHRASES,
    )
    attention: float = parameter(
        8.0, 'Time after the name, and after each sentence for the robot, in which the next '
        'sentence needs no name.',
        low=0.0, high=600.0, unit='s',
    )  # fmt: skip
    publish_unaddressed: bool = parameter(
        False,
        'Publish on speech/transcript also what is not for the robot, with the outcome '
        'NOT_ADDRESSED. Never on speech/text.',
    )


@dataclass(frozen=True)
class PartialSettings(ParameterGroup):
    """Text while the person still speaks."""

    period: float = parameter(
        0.5, 'Minimum time between partial texts. They are computed only while somebody '
        'subscribes to speech/partial or LiveSpeech, or for a goal with partial_results.',
        low=0.1, high=10.0, unit='s',
    )  # fmt: skip


@dataclass(frozen=True)
class MuteSettings(ParameterGroup):
    """Privacy: a muted microphone is closed."""

    at_start: bool = start_parameter(
        False, 'Start muted: the microphone stays closed until speech/mute is called with false.'
    )


@dataclass(frozen=True)
class SelfSpeechSettings(ParameterGroup):
    """The robot ignores its own speech."""

    policy: str = parameter(
        'mute', 'What is heard while the robot speaks: only urgent commands (mute), or everybody '
        '(barge_in), which needs a microphone with echo cancellation.',
        choices=('mute', 'barge_in'),
    )  # fmt: skip
    text_topic: str = source_parameter(
        '', 'Topic of type std_msgs/String with what the robot says, from when it begins to: with '
        'barge_in that is taken out of the text, and in no case an urgent command. Empty, the '
        'default, knows nothing of it.',
    )  # fmt: skip
    topics: list[str] = source_parameter(
        [], 'Topics of type std_msgs/Bool that are true while the robot speaks.'
    )
    actions: list[str] = source_parameter(
        [], 'Actions that are active while the robot speaks, as "say".'
    )
    tail: float = parameter(
        0.3, 'Time after robot speech during which sound is still ignored, because of the echo.',
        low=0.0, high=10.0, unit='s',
    )  # fmt: skip

    @property
    def barge_in(self) -> bool:
        """Whether everybody is heard while the robot speaks."""
        return self.policy == 'barge_in'


@dataclass(frozen=True)
class CommandSettings(ParameterGroup):
    """Commands that a text is mapped to."""

    slots: list[str] = parameter(
        [], 'Lists for the slots of the commands, as "room: kitchen, living room".'
    )
    phrases: list[str] = parameter(
        [],
        'Commands that the robot knows. They may have slots: "turn {left,right} {number} '
        'degrees", "go to the {room}".',
    )
    urgent: list[str] = parameter(
        [],
        'Commands that act before the speaker is done, and while the robot speaks, as "stop". '
        'They belong to the commands, too.',
    )
    file: str = start_parameter(
        '',
        'YAML file with more of them: lists of phrases and urgent, and slots with their words.',
        check_text=read_command_file,
    )
    min_score: float = parameter(
        0.5, 'Minimum probability that the command was said.', low=0.0, high=1.0
    )
    within_sentences: bool = parameter(
        False,
        'Whether a command counts that is a part of a longer sentence, as "I am tired, stop". '
        'Never one that is negated, asked or reported.',
    )

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """Each wording of each command; raise a SettingError for one that cannot be read."""
        phrases = (*self.phrases, *command_file(self.file).phrases)
        more = tuple(each for each in self.all_urgent if each not in phrases)
        _ = self.urgent_wordings  # an error names its own parameter
        return wordings((*phrases, *more), self.all_slots)

    @property
    def all_urgent(self) -> tuple[str, ...]:
        """The urgent commands, those of the file too."""
        return (*self.urgent, *command_file(self.file).urgent)

    @property
    def all_slots(self) -> tuple[str, ...]:
        """The lists for slots, those of the file too."""
        return (*self.slots, *command_file(self.file).slots)

    def only(self, phrases: list[str]) -> 'CommandSettings':
        """Return the settings with these phrases in place of all others.

        What is urgent stays, and the slots do.
        """
        slots, urgent = [*self.all_slots], [*self.all_urgent]
        return replace(self, phrases=phrases, slots=slots, urgent=urgent, file='')

    @property
    def urgent_wordings(self) -> tuple[Wording, ...]:
        """Each wording of each urgent command; raise a SettingError as `wordings`."""
        return wordings(self.all_urgent, self.all_slots, 'commands.urgent')


@dataclass(frozen=True)
class TextSettings(ParameterGroup):
    """How an accepted text is written."""

    replacements: list[str] = parameter(
        [],
        'What to write in place of the words of the model, as "hell oh -> HELO", or with a '
        r'regular expression "/(\d+) point (\d+)/ -> \1.\2". They apply in their order.',
        check_list=rules,
        most=MOST,
    )


@dataclass(frozen=True)
class HumansSettings(ParameterGroup):
    """The topics of people, as REP-155 (ROS4HRI) has them."""

    voice: str = start_parameter(
        'anonymous_speaker',
        'Name of the voice whose speech is published on /humans/voices too (REP-155), where '
        'hri_msgs is installed. Empty publishes nothing there.',
        check_text=check_voice,
    )


@dataclass(frozen=True)
class Settings:
    """All parameters."""

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
    mute: MuteSettings = field(default_factory=MuteSettings)
    self_speech: SelfSpeechSettings = field(default_factory=SelfSpeechSettings)
    commands: CommandSettings = field(default_factory=CommandSettings)
    text: TextSettings = field(default_factory=TextSettings)
    humans: HumansSettings = field(default_factory=HumansSettings)
    autostart: bool = start_parameter(
        True, 'Configure and activate the node at start. If false, a lifecycle manager does it.'
    )
    diagnostics_period: float = start_parameter(
        1.0, 'Time between messages on /diagnostics.', low=0.1, high=60.0, unit='s'
    )
    save_audio_directory: str = start_parameter(
        '',
        'Folder for a WAV file of each utterance. Empty, the default, saves no audio.',
        check_text=check_save_folder,
    )

    @property
    def decoding(self) -> ModelSettings:
        """The settings of the model with the commands; raise a SettingError for a wrong one."""
        known = self.commands.wordings
        if not known:
            return self.model
        model = {each.name: getattr(self.model, each.name) for each in fields(self.model)}
        return DecodingSettings(**model, wordings=tuple(each.text for each in known))


RENAMED = {
    'model.beams': 'model.beam_width',
    'model.window_margin': 'model.audio_context_margin',
    'model.chunk_length': 'model.segment_length',
    'model.word_times': 'model.word_timestamps',
    'guard.enabled': 'hallucination_filter.enabled',
    'guard.min_speech': 'hallucination_filter.min_speech',
    'guard.max_no_speech_probability': 'hallucination_filter.max_no_speech_probability',
    'guard.confident_log_probability': 'hallucination_filter.confident_log_probability',
    'guard.min_log_probability': 'hallucination_filter.min_log_probability',
    'guard.max_compression_ratio': 'hallucination_filter.max_compression_ratio',
    'guard.max_words_per_second': 'hallucination_filter.max_words_per_second',
    'mute.topics': 'self_speech.topics',
    'mute.actions': 'self_speech.actions',
    'mute.tail': 'self_speech.tail',
}
"""Parameters of earlier versions and their names now. An old name is refused, never used."""


def parameter_specs() -> Iterator[ParameterSpec]:
    """Yield every parameter in the order of this file."""
    for outer in fields(Settings):
        if 'text' in outer.metadata:
            yield spec_of(outer.name, outer)
        else:
            group = outer.default_factory  # type: ignore[misc]
            for inner in fields(group):  # type: ignore[arg-type]
                yield spec_of(f'{outer.name}.{inner.name}', inner)


def settings_from(values: dict[str, Value]) -> Settings:
    """Return settings with these values, by parameter name.

    Raise a SettingError for an unknown name, a former name, or a wrong value.
    """
    known = {each.name: each for each in parameter_specs()}
    groups: dict[str, dict[str, Value]] = {}
    top: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise SettingError(unknown(name))
        known[name].check(value)
        group, dot, key = name.partition('.')
        if dot:
            groups.setdefault(group, {})[key] = value
        else:
            top[group] = value
    settings = Settings()
    for group, changes in groups.items():
        top[group] = replace(getattr(settings, group), **changes)
    settings = replace(settings, **top)
    _ = settings.decoding  # raises an error for commands that cannot be read
    return settings


def unknown(name: str) -> str:
    """Return a sentence about a parameter that does not exist, with the name to use instead."""
    if name in RENAMED:
        return f'{name} is now called {RENAMED[name]}: use the new name'
    names = [spec.name for spec in parameter_specs()]
    near = process.extractOne(name, names, scorer=fuzz.ratio, score_cutoff=60)
    hint = f'; did you mean {near[0]!r}?' if near else ''
    return f'there is no parameter {name!r}{hint}'
