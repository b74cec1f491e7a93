"""The settings as ROS parameters: declared from their one place, and checked."""

from collections.abc import Callable, Iterable
import difflib
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..errors import SettingError
from ..knobs import Knob, TakesEffect
from ..settings import knobs, Settings, settings_from

# What rclpy and the ROS launch system set by themselves.
FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides')


class Parameters:
    """Declares the parameters on a node and keeps the settings that they stand for."""

    def __init__(self, node: Node, may_change: Callable[[TakesEffect], str]) -> None:
        """`may_change` returns why a parameter of that kind cannot change now, or ''."""
        self._node = node
        self._may_change = may_change
        self._knobs = {knob.name: knob for knob in knobs()}
        self.problems: dict[str, str] = {}
        """What is wrong with parameters given at the start, by name."""
        for knob in self._knobs.values():
            self._declare(knob)
        for name in self._unknown():
            node.get_logger().warn(self._no_such(name))

    def _declare(self, knob: Knob) -> None:
        """Declare one parameter; a wrong value from the start is kept as a problem."""
        # First of any type, to read what was given: a wrong type is then ours to explain.
        given = self._node.declare_parameter(
            knob.name, knob.default, ParameterDescriptor(dynamic_typing=True)
        ).value
        self._node.undeclare_parameter(knob.name)
        value = lenient(knob, given)
        if knob.default == [] and not value:
            value = []  # YAML's empty list has no type, and comes as nothing at all
        try:
            knob.check(value)
        except SettingError as error:
            if knob.takes_effect is not TakesEffect.START:  # those cannot be put right later
                self.problems[knob.name] = str(error)
            self._node.get_logger().error(f'{error}; {knob.default!r} stands until it is set')
            value = knob.default
        self._node.declare_parameter(knob.name, value, descriptor(knob), ignore_override=True)

    def _no_such(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._knobs, 1)
        hint = f'; did you mean {near[0]!r}?' if near else ''
        return f'there is no parameter {name!r}{hint}'

    def _unknown(self) -> Iterable[str]:
        given = getattr(self._node, '_parameter_overrides', {})  # rclpy has no public list
        return [n for n in given if n not in self._knobs and n.split('.')[0] not in FOREIGN]

    @property
    def settings(self) -> Settings:
        """Return the settings as they are now; raise a SettingError if one is wrong."""
        if self.problems:
            raise SettingError('; '.join(self.problems.values()))
        values: dict[str, Any] = {
            name: self._node.get_parameter(name).value for name in self._knobs
        }
        for name, knob in self._knobs.items():
            if isinstance(knob.default, list):
                values[name] = [text for text in values[name] or [] if text]
        return settings_from(values)

    def prepare(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        """Return the parameters of a request, whole numbers made numbers where those are due."""
        prepared = []
        for parameter in parameters:
            knob = self._knobs.get(parameter.name)
            value = parameter.value if knob is None else lenient(knob, parameter.value)
            if knob is not None and knob.default == [] and not value:
                value = []
            prepared.append(Parameter(parameter.name, value=value))
        return prepared

    def refusal(self, parameters: Iterable[Parameter]) -> SetParametersResult | None:
        """Return why a request to set parameters is refused, or None if it is not."""
        for parameter in parameters:
            knob = self._knobs.get(parameter.name)
            if knob is None:
                if self._node.has_parameter(parameter.name):
                    continue  # one of ROS's own
                reason = self._no_such(parameter.name)
                return SetParametersResult(successful=False, reason=reason)
            try:
                value: Any = parameter.value
                knob.check(value)
            except SettingError as error:
                return SetParametersResult(successful=False, reason=str(error))
            # A value that was wrong from the start may always be put right.
            why = '' if knob.name in self.problems else self._may_change(knob.takes_effect)
            if why:
                reason = f'{knob.name} can change {knob.takes_effect.value}; {why}'
                return SetParametersResult(successful=False, reason=reason)
        return None

    def accepted(self, parameters: Iterable[Parameter]) -> None:
        """Take note of parameters that were set."""
        for parameter in parameters:
            self.problems.pop(parameter.name, None)


def lenient(knob: Knob, value: Any) -> Any:
    """Take a whole number for a number: YAML's `1` where `1.0` is meant."""
    if isinstance(knob.default, float) and type(value) is int:
        return float(value)
    return value


def descriptor(knob: Knob) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows."""
    result = ParameterDescriptor(
        name=knob.name,
        description=knob.description,
        additional_constraints=f'Can change {knob.takes_effect.value}.',
        read_only=knob.takes_effect is TakesEffect.START,
        # rclpy takes an empty list for one of bytes, so the type must be free; check() is not.
        dynamic_typing=isinstance(knob.default, list),
    )
    if knob.low is not None and knob.high is not None:
        if isinstance(knob.default, float):
            result.floating_point_range = [
                FloatingPointRange(from_value=float(knob.low), to_value=float(knob.high))
            ]
        else:
            result.integer_range = [
                IntegerRange(from_value=int(knob.low), to_value=int(knob.high), step=1)
            ]
    return result
