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

from ..core.errors import SettingError
from ..core.parameter_spec import ParameterSpec, TakesEffect
from ..core.settings import parameter_specs, Settings, settings_from

# What rclpy and the ROS launch system set by themselves.
FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides')


class Parameters:
    """Declares the parameters on a node and keeps the settings that they stand for."""

    def __init__(self, node: Node, may_change: Callable[[TakesEffect], str]) -> None:
        """`may_change` returns why a parameter of that kind cannot change now, or ''."""
        self._node = node
        self._may_change = may_change
        self._knobs = {spec.name: spec for spec in parameter_specs()}
        self.problems: dict[str, str] = {}
        """What is wrong with parameters given at the start, by name."""
        for spec in self._knobs.values():
            self._declare(spec)
        for name in self._unknown():
            node.get_logger().warn(self._no_such(name))

    def _declare(self, spec: ParameterSpec) -> None:
        """Declare one parameter; a wrong value from the start is kept as a problem."""
        # First of any type, to read what was given: a wrong type is then ours to explain.
        given = self._node.declare_parameter(
            spec.name, spec.default, ParameterDescriptor(dynamic_typing=True)
        ).value
        self._node.undeclare_parameter(spec.name)
        value = lenient(spec, given)
        if spec.default == [] and not value:
            value = []  # YAML's empty list has no type, and comes as nothing at all
        try:
            spec.check(value)
        except SettingError as error:
            if spec.takes_effect is not TakesEffect.START:  # those cannot be put right later
                self.problems[spec.name] = str(error)
            self._node.get_logger().error(f'{error}; {spec.default!r} stands until it is set')
            value = spec.default
        self._node.declare_parameter(spec.name, value, descriptor(spec), ignore_override=True)

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
        for name, spec in self._knobs.items():
            if isinstance(spec.default, list):
                values[name] = [text for text in values[name] or [] if text]
        return settings_from(values)

    def prepare(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        """Return the parameters of a request, whole numbers made numbers where those are due."""
        prepared = []
        for parameter in parameters:
            spec = self._knobs.get(parameter.name)
            value = parameter.value if spec is None else lenient(spec, parameter.value)
            if spec is not None and spec.default == [] and not value:
                value = []
            prepared.append(Parameter(parameter.name, value=value))
        return prepared

    def refusal(self, parameters: Iterable[Parameter]) -> SetParametersResult | None:
        """Return why a request to set parameters is refused, or None if it is not."""
        for parameter in parameters:
            spec = self._knobs.get(parameter.name)
            if spec is None:
                if self._node.has_parameter(parameter.name):
                    continue  # one of ROS's own
                reason = self._no_such(parameter.name)
                return SetParametersResult(successful=False, reason=reason)
            try:
                value: Any = parameter.value
                spec.check(value)
            except SettingError as error:
                return SetParametersResult(successful=False, reason=str(error))
            # A value that was wrong from the start may always be put right.
            why = '' if spec.name in self.problems else self._may_change(spec.takes_effect)
            if why:
                reason = f'{spec.name} can change {spec.takes_effect.value}; {why}'
                return SetParametersResult(successful=False, reason=reason)
        return None

    def accepted(self, parameters: Iterable[Parameter]) -> None:
        """Take note of parameters that were set."""
        for parameter in parameters:
            self.problems.pop(parameter.name, None)


def lenient(spec: ParameterSpec, value: Any) -> Any:
    """Take a whole number for a number: YAML's `1` where `1.0` is meant."""
    if isinstance(spec.default, float) and type(value) is int:
        return float(value)
    return value


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows."""
    result = ParameterDescriptor(
        name=spec.name,
        description=spec.description,
        additional_constraints=f'Can change {spec.takes_effect.value}.',
        read_only=spec.takes_effect is TakesEffect.START,
        # rclpy takes an empty list for one of bytes, so the type must be free; check() is not.
        dynamic_typing=isinstance(spec.default, list),
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
