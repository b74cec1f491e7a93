"""The special tokens of a Whisper: start, language, task, end of the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from ..core.errors import SettingError

MARK = '<|'  # begins the name of each special token


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens of one Whisper, by id."""

    start: int
    end: int
    """End of the text. Text has smaller ids; from this one on, only `added` tokens are text."""
    no_speech: int
    no_timestamps: int
    languages: dict[str, int]
    """By language code; empty for an English model."""
    tasks: dict[str, int]
    """transcribe and translate; empty for an English model."""
    added: frozenset[int] = frozenset()
    """Words that a fine-tune added behind the special tokens."""

    @classmethod
    def of(cls, generation: Any, tokenizer: Any) -> 'SpecialTokens':
        """Read the special tokens from a model's generation config and its tokenizer."""
        no_timestamps = generation.no_timestamps_token_id
        multilingual = getattr(generation, 'is_multilingual', False)
        languages = getattr(generation, 'lang_to_id', None) if multilingual else None
        end = generation.eos_token_id
        return cls(
            start=generation.decoder_start_token_id,
            end=end if isinstance(end, int) else end[0],
            no_speech=no_timestamps - 1,  # so in every Whisper
            no_timestamps=no_timestamps,
            languages={name.strip('<|>'): token for name, token in (languages or {}).items()},
            tasks=getattr(generation, 'task_to_id', None) or {},
            added=frozenset(
                index
                for index, token in tokenizer.added_tokens_decoder.items()
                if not (token.special or str(token).startswith(MARK))  # timestamps are not special
            ),
        )

    def language(self, requested: str) -> str:
        """Return the code of a language given by code or English name.

        Raises SettingError for a language that the model does not know.
        """
        code = _code(requested)
        if code not in self.languages:
            raise SettingError(
                f'model.language is {requested!r}, but must be one of: '
                + ', '.join(self.languages)
            )
        return code

    def allowed_languages(self, language: str, languages: Sequence[str], model: str) -> list[str]:
        """Return the codes of the languages that may be spoken; empty for an English model.

        `language` and `languages` are the settings of these names, `model` is the model's name.
        Raises SettingError if the model does not know one, or if the settings contradict each
        other.
        """
        if not self.languages:
            if any(_code(each) != 'en' for each in languages):
                raise SettingError(
                    f'model.languages is {[*languages]}, but {model} knows only English: set '
                    'model.id to a multilingual model, as "openai/whisper-base", or leave '
                    'model.languages empty'
                )
            return []
        wrong = [each for each in languages if _code(each) not in self.languages]
        if wrong:
            raise SettingError(
                f'model.languages has {wrong[0]!r}, but each must be one of: '
                + ', '.join(self.languages)
            )
        codes = [*dict.fromkeys(_code(each) for each in languages)]
        if not language:
            return codes or [*self.languages]
        code = self.language(language)
        if codes and code not in codes:
            raise SettingError(
                f'model.language is {language!r}, but model.languages is {[*languages]}: add it '
                'there, or leave one of the two empty'
            )
        return [code]

    def check_task(self, task: str, model: str) -> None:
        """Raise a SettingError if a model of several languages does not know the task.

        English models ignore it. `model` is the model's name.
        """
        if self.languages and task not in self.tasks:
            raise SettingError(
                f'model.task is {task!r}, but {model} can only: ' + ', '.join(self.tasks)
            )

    def prefix(self, language: str, task: str) -> list[int]:
        """Return the tokens that come before the text: start, language, task, no timestamps."""
        if not self.languages:
            return [self.start, self.no_timestamps]
        return [self.start, self.languages[language], self.tasks[task], self.no_timestamps]

    def text_positions(self, tokens: Sequence[int]) -> list[int]:
        """Return the indices of the tokens that are text, not special tokens."""
        return [
            index for index, token in enumerate(tokens) if token < self.end or token in self.added
        ]


def _code(language: str) -> str:
    """Return the code of a language given by code or English name."""
    name = language.strip().lower()
    return TO_LANGUAGE_CODE.get(name, name)


def check_prompt(name: str, text: str) -> None:
    """Raise a SettingError if a prompt contains the mark of special tokens.

    `name` is the parameter's. Whisper would take a special token in its prompt as a command.
    """
    if MARK in text:
        raise SettingError(f'{name} is {text!r}, but must not contain {MARK!r}')
