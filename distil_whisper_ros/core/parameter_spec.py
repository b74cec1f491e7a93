"""Parameter metadata: default, range, unit, description and when a change takes effect."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, Field, field, fields, replace
from enum import Enum
from typing import Any

from .errors import SettingError

Value = bool | int | float | str | list[str]


class TakesEffect(Enum):
    """When a new value is used, and so when a parameter may change."""

    START = 'only at the start of the node'
    CONFIGURE = 'while the node is unconfigured'
    ACTIVATE = 'while the node is not active'
    AT_ONCE = 'at any time'


def parameter(
    default: Value,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = '',
    choices: tuple[str, ...] = (),
    forbidden: str = '',
    check_text: Callable[[str], object] | None = None,
    check_list: Callable[[list[str]], object] | None = None,
    most: int | None = None,
    longest: int | None = None,
    takes_effect: TakesEffect = TakesEffect.AT_ONCE,
) -> Any:
    """Declare a field with its parameter's metadata."""
    metadata = {
        'text': text,
        'low': low,
        'high': high,
        'unit': unit,
        'choices': choices,
        'forbidden': forbidden,
        'check_text': check_text,
        'check_list': check_list,
        'most': most,
        'longest': longest,
        'takes_effect': takes_effect,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def start_parameter(default: Value, text: str, **more: Any) -> Any:
    """Declare a parameter that is fixed at the start of the node."""
    return parameter(default, text, takes_effect=TakesEffect.START, **more)


def model_parameter(default: Value, text: str, **more: Any) -> Any:
    """Declare a parameter that is read when the model is loaded."""
    return parameter(default, text, takes_effect=TakesEffect.CONFIGURE, **more)


def source_parameter(default: Value, text: str, **more: Any) -> Any:
    """Declare a parameter that is read when the microphone is opened."""
    return parameter(default, text, takes_effect=TakesEffect.ACTIVATE, **more)


class ParameterGroup:
    """A group of parameters, a frozen dataclass."""

    def replaced(self, **values: Value) -> Any:
        """Return the group with new values, by field; raise a SettingError for a wrong one."""
        for each in fields(self):  # type: ignore[arg-type]
            if each.name in values:
                spec_of(each.name, each).check(values[each.name])
        return replace(self, **values)  # type: ignore[type-var]


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter: its full name and its metadata."""

    name: str
    default: Value
    text: str
    low: float | None
    high: float | None
    unit: str
    choices: tuple[str, ...]
    forbidden: str
    """What a text must not contain; empty if it can be any text."""
    check_text: Callable[[str], object] | None
    """Raises a SettingError for a text without a meaning; None if any text has one."""
    check_list: Callable[[list[str]], object] | None
    """Raises a SettingError for a list that cannot be used as a whole."""
    most: int | None
    """How many texts a list may have; None if any number."""
    longest: int | None
    """How many letters a text may have; None if any number."""
    takes_effect: TakesEffect

    @property
    def description(self) -> str:
        """The text, with the unit and the choices."""
        text = self.text
        if self.unit:
            text += f' [{self.unit}]'
        if self.choices:
            text += ' One of: ' + ', '.join(self.choices) + '.'
        return text

    def check(self, value: Value) -> None:
        """Raise a SettingError with the right type, range or choices, if `value` is wrong."""
        kind = type(self.default)
        names = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'a text'}
        if type(value) is not kind:
            example = ''
            if kind is float and type(value) is int:
                example = f', with a decimal point: {value}.0'
            elif kind is str:
                example = f': quote it, as {quoted(value)}'
            raise SettingError(
                f'{self.name} is {value!r}, but must be {names.get(kind, "a list of texts")}'
                + example
            )
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise SettingError(f'{self.name} is {value!r}, but must be a list of texts')
        if self.choices and value not in self.choices:
            raise SettingError(
                f'{self.name} is {value!r}, but must be one of: ' + ', '.join(self.choices)
            )
        if isinstance(value, list) and self.most is not None and len(value) > self.most:
            raise SettingError(
                f'{self.name} has {len(value)} texts, but may have {self.most} at most'
            )
        self._check_texts(value if isinstance(value, list) else [value])
        if self.check_list is not None and isinstance(value, list):
            self.check_list(value)
        if self.low is not None and self.high is not None and isinstance(value, (int, float)):
            if not self.low <= value <= self.high:
                unit = f' {self.unit}' if self.unit else ''
                raise SettingError(
                    f'{self.name} is {value}, but must be from {self.low} to {self.high}{unit}'
                )

    def _check_texts(self, texts: Iterable[object]) -> None:
        for text in map(str, texts):
            if self.longest is not None and len(text) > self.longest:
                raise SettingError(
                    f'{self.name} has a text of {len(text)} letters, but it may have '
                    f'{self.longest} at most'
                )
            if self.forbidden and self.forbidden in text:
                raise SettingError(
                    f'{self.name} is {text!r}, but must not contain {self.forbidden!r}'
                )
            if self.check_text is not None:
                self.check_text(text)


def quoted(value: object) -> str:
    """Return how to write a text that YAML reads as another value, as no and 2."""
    if isinstance(value, bool):
        return '"yes" or "on"' if value else '"no" or "off"'
    return f'"{value}"'


def spec_of(name: str, declared: 'Field[Any]') -> ParameterSpec:
    """Return the ParameterSpec of a declared field."""
    factory: Any = declared.default_factory
    default: Any = factory() if callable(factory) else declared.default
    return ParameterSpec(name=name, default=default, **declared.metadata)
