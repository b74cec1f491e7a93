"""The settings as ROS parameters: declared and checked in one place."""

from collections.abc import Callable, Iterable
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_full_topic_name import validate_full_topic_name

from ..core.errors import SettingError
from ..core.parameter_spec import ParameterSpec, TakesEffect
from ..core.settings import (
    CommandSettings,
    ModelSettings,
    parameter_specs,
    RENAMED,
    Settings,
    settings_from,
    unknown,
)
from .log import printable

# Set by rclpy and by the ROS launch system.
NOT_OURS = ('use_sim_time', 'start_type_description_service', 'qos_overrides')
TOLD, SHORT_REASON = 3, 150  # refusals in one line, and characters of each
REASONS = 350  # characters of the problems of the start, so that the remedy is not cut off
# They must fit each other.
COMMANDS = 'commands.phrases', 'commands.slots', 'commands.urgent', 'commands.file'
MODEL = 'model.'  # begins the parameters that the loaded model has to know
# Of topics and actions.
NAMES = {
    'audio.topic',
    'self_speech.topics',
    'self_speech.actions',
    'self_speech.text_topic',
}


class Parameters:
    """Declares the parameters on a node and returns the settings that they make."""

    def __init__(
        self,
        node: Node,
        may_change: Callable[[TakesEffect], str],
        consequence: str,
        next_step: str = '',
        check_loaded: Callable[[ModelSettings], None] = lambda settings: None,
    ) -> None:
        """`may_change` returns why a parameter of that kind cannot change now, or ''.

        `consequence` says what a wrong value at the start does, and `next_step` what a person does
        once the value is right, if anything. `check_loaded` raises a SettingError for settings
        that the loaded model cannot use.
        """
        self._node = node
        self._may_change = may_change
        self._consequence = consequence
        self._next_step = next_step
        self._check_loaded = check_loaded
        self._specs = {spec.name: spec for spec in parameter_specs()}
        self.problems: dict[str, str] = {}
        """Errors of the values given at the start, by name; `settings` raises them."""
        self.replaced: set[str] = set()
        """Parameters that have their defaults since the value given at the start was wrong."""
        for spec in self._specs.values():
            self._declare(spec)
        for name in self._unknown():
            text = unknown(name)
            if name in RENAMED:
                self.problems[name] = text
                node.get_logger().error(printable(text))
            else:
                node.get_logger().warn(printable(text))
        wrong = self._wrong_together([node.get_parameter(name) for name in COMMANDS])
        if wrong:
            self.problems['commands'] = wrong
            node.get_logger().error(printable(f'{wrong}; {consequence} until it is set right'))
        answer_every_type(node)

    def _declare(self, spec: ParameterSpec) -> None:
        """Declare one parameter; a wrong value from the start is kept as a problem."""
        # First of any type, to read the given value: rclpy's error about a type names no remedy.
        given = self._node.declare_parameter(
            spec.name, spec.default, ParameterDescriptor(dynamic_typing=True)
        ).value
        self._node.undeclare_parameter(spec.name)
        value = lenient(spec, given)
        try:
            check(spec, value, self._node)
        except SettingError as error:
            self.replaced.add(spec.name)
            if spec.takes_effect is TakesEffect.START:  # those can never change
                default = repr(spec.default)
                reason = (
                    f'{error}; using the default {default}: restart the node with the right value'
                )
            else:
                self.problems[spec.name] = str(error)
                reason = f'{error}; {self._consequence} until it is set right'
            self._node.get_logger().error(printable(reason))
            value = spec.default
        described = descriptor(spec)
        if isinstance(spec.default, list):
            # rclpy takes an empty list for one of bytes. So the type is declared alone, and the
            # value is set; that makes a parameter that tools know as a list of texts.
            kind = Parameter.Type.STRING_ARRAY
            self._node.declare_parameter(spec.name, kind, described, ignore_override=True)
            Node.set_parameters_atomically(self._node, [Parameter(spec.name, kind, value)])
        else:
            self._node.declare_parameter(spec.name, value, described, ignore_override=True)

    def _unknown(self) -> Iterable[str]:
        given = getattr(self._node, '_parameter_overrides', {})  # rclpy has no public list
        return [n for n in given if n not in self._specs and n.split('.')[0] not in NOT_OURS]

    @property
    def settings(self) -> Settings:
        """Return the settings as they are now; raise a SettingError if one is wrong."""
        if self.problems:
            reasons = printable('; '.join(self.problems.values()), REASONS)
            if self._next_step:
                raise SettingError(f'{reasons}: set it right, then: {self._next_step}')
            raise SettingError(reasons)
        values: dict[str, Any] = {
            name: self._node.get_parameter(name).value for name in self._specs
        }
        return settings_from(values)

    def prepare(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        """Return the parameters of a request in their types, without those that do not change.

        `1` counts as `1.0`, and an empty list of any type as an empty list of texts.
        """
        prepared = []
        for parameter in parameters:
            spec = self._specs.get(parameter.name)
            if spec is None:
                if not self._is_now(parameter):
                    prepared.append(parameter)
                continue
            value = lenient(spec, parameter.value)
            texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
            kind = Parameter.Type.STRING_ARRAY if texts else None
            now = self._node.get_parameter(parameter.name).value
            changes = type(value) is not type(now) or value != now
            if not changes and spec.name not in self.problems:
                continue
            same = value is parameter.value and kind is None
            prepared.append(parameter if same else Parameter(parameter.name, kind, value))
        return prepared

    def _is_now(self, parameter: Parameter) -> bool:
        """Return whether a parameter of rclpy has this value already; some are read-only."""
        if not self._node.has_parameter(parameter.name):
            return False
        now = self._node.get_parameter(parameter.name)
        return (now.type_, now.value) == (parameter.type_, parameter.value)

    def refusal(self, parameters: Iterable[Parameter]) -> SetParametersResult | None:
        """Return why a request to set parameters is refused, or None if it is not."""
        parameters = [*parameters]
        reason = next(filter(None, map(self._refused, parameters)), '')
        reason = reason or self._wrong_together(parameters) or self._unusable(parameters)
        return SetParametersResult(successful=False, reason=printable(reason)) if reason else None

    def _wrong_together(self, parameters: Iterable[Parameter]) -> str:
        """Return why the commands and their slots would not fit each other.

        The parameters have the right types.
        """
        changed: dict[str, Any] = {parameter.name: parameter.value for parameter in parameters}
        if not any(name in changed and name in self._specs for name in COMMANDS):
            return ''
        values: dict[str, Any] = {
            name.partition('.')[2]: (
                changed[name] if name in changed else self._node.get_parameter(name).value
            )
            for name in COMMANDS
        }
        try:
            # rclpy has no empty list, but None.
            given = {name: value for name, value in values.items() if value is not None}
            _ = CommandSettings(**given).wordings
        except SettingError as error:
            return str(error)
        return ''

    def _unusable(self, parameters: Iterable[Parameter]) -> str:
        """Return why the loaded model could not use the settings that would result.

        Every request would fail with them, after the person has spoken.
        """
        names = [name for name in self._specs if name.startswith(MODEL)]
        changed = {each.name: each.value for each in parameters if each.name in names}
        if not changed:
            return ''
        values: dict[str, Any] = {name: self._node.get_parameter(name).value for name in names}
        values |= changed
        given = {name.removeprefix(MODEL): value for name, value in values.items()}
        try:
            self._check_loaded(ModelSettings(**given))
        except SettingError as error:
            return str(error)
        return ''

    def _refused(self, parameter: Parameter) -> str:
        spec = self._specs.get(parameter.name)
        if spec is None:
            return '' if self._node.has_parameter(parameter.name) else unknown(parameter.name)
        # A value that was wrong from the start may change at any time.
        why = '' if spec.name in self.problems else self._may_change(spec.takes_effect)
        late = f'{spec.name} can change {spec.takes_effect.value}; {why}' if why else ''
        if late and spec.check_text is not None:
            return late  # the check may read a file, and its error tell strangers what is in it
        try:
            value: Any = parameter.value
            check(spec, value, self._node)
        except SettingError as error:
            return str(error)
        return late

    def accepted(self, parameters: Iterable[Parameter]) -> None:
        """Forget the problems of parameters that were set, also of their former names."""
        wrong = bool(self.problems)
        for parameter in parameters:
            self.problems.pop('commands' if parameter.name in COMMANDS else '', None)
            self.problems.pop(parameter.name, None)
            for old, new in RENAMED.items():
                if new == parameter.name:
                    self.problems.pop(old, None)
        if wrong and not self.problems and self._next_step:
            self._node.get_logger().info(
                f'all parameters are right now; now run: {self._next_step}'
            )


def answer_every_type(node: Node) -> None:
    """Refuse a value of a type that ROS does not have; rclpy raises, and the client waits."""

    def result_of(messages: Iterable[Any]) -> SetParametersResult:
        try:
            parameters = [Parameter.from_parameter_msg(message) for message in messages]
        except Exception as error:
            reason = f'a value cannot be read: {printable(error)}'
            return SetParametersResult(successful=False, reason=reason)
        return node.set_parameters_atomically(parameters)

    def set_each(request, response):
        response.results = [result_of([message]) for message in request.parameters]
        log_refusals(node, response.results)
        return response

    def set_together(request, response):
        response.result = result_of(request.parameters)
        log_refusals(node, [response.result])
        return response

    callbacks = {'set_parameters': set_each, 'set_parameters_atomically': set_together}
    for service in node.services:
        callback = callbacks.get(service.srv_name.rpartition('/')[2])
        if callback is not None:
            service.callback = callback


def log_refusals(node: Node, results: Iterable[SetParametersResult]) -> None:
    """Log in one line why parameters were not set."""
    reasons = [result.reason for result in results if not result.successful]
    if len(reasons) == 1:
        node.get_logger().warn(printable(reasons[0]))
    elif reasons:
        first = '; '.join(printable(reason, SHORT_REASON) for reason in reasons[:TOLD])
        node.get_logger().warn(f'{len(reasons)} parameters were not set: {first}')


def check(spec: ParameterSpec, value: Any, node: Node) -> None:
    """Raise a SettingError for a wrong value, also for a name that ROS does not take."""
    spec.check(value)
    if spec.name not in NAMES or value == spec.default:
        return
    for name in [value] if isinstance(value, str) else value:
        try:
            full = expand_topic_name(name, node.get_name(), node.get_namespace())
            validate_full_topic_name(full)
        except Exception as error:  # rclpy has several, without a common base
            line = str(error).splitlines()[0].partition(': ')[2]
            reason = line.partition(', at ')[0].rstrip(':')  # less the place in rcl's source
            raise SettingError(
                f'{spec.name} has the name {name!r}, which ROS does not allow: {reason}'
            ) from error


def lenient(spec: ParameterSpec, value: Any) -> Any:
    """Return a value in the parameter's type where YAML cannot write it.

    YAML's `1` is meant as `1.0`; its empty list has no type, and is written `['']`.
    """
    if isinstance(spec.default, float) and type(value) is int:
        return float(value)
    if isinstance(spec.default, list) and not isinstance(value, (bool, int, float, str)):
        return [item for item in value or [] if item != '']
    return value


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Return the text and the limits that `ros2 param describe` shows."""
    result = ParameterDescriptor(
        name=spec.name,
        description=spec.description,
        additional_constraints=f'Can change {spec.takes_effect.value}.',
        read_only=spec.takes_effect is TakesEffect.START,
    )
    if spec.low is not None and spec.high is not None:
        if isinstance(spec.default, float):
            result.floating_point_range = [
                FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))
            ]
        else:
            result.integer_range = [
                IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)
            ]
    return result
