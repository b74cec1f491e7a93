"""The special tokens of a Whisper: where a text begins, in which language, and where it ends."""

from dataclasses import dataclass
from typing import Any

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from ..core.errors import SettingError


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens of one Whisper."""

    start: int
    end: int
    no_speech: int
    no_timestamps: int
    languages: dict[str, int]  # by code; empty for an English model
    tasks: dict[str, int]

    @classmethod
    def of(cls, generation: Any) -> 'SpecialTokens':
        """Read them from a model's generation config."""
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
        )

    def language(self, wanted: str) -> str:
        """Return the code of a language given by code or English name."""
        code = TO_LANGUAGE_CODE.get(wanted.lower(), wanted.lower())
        if code not in self.languages:
            raise SettingError(
                f'model.language is {wanted!r}, but must be one of: ' + ', '.join(self.languages)
            )
        return code

    def prefix(self, language: str, task: str) -> list[int]:
        """Return the tokens that come before the text."""
        if not self.languages:
            return [self.start, self.no_timestamps]
        return [self.start, self.languages[language], self.tasks[task], self.no_timestamps]
