"""A model that may rest: its memory is freed, and the next call that needs it loads it again."""

from collections.abc import Callable
import threading
from typing import Any, TypeVar

import torch

from ..core.errors import ModelError
from ..core.memory import collect_garbage, return_free_memory
from .checkpoint import Progress
from .device import free_memory
from .model_errors import translate_errors

Result = TypeVar('Result')


class RestingModel:
    """A loaded model, which may be unloaded between calls."""

    def __init__(
        self,
        name: str,
        device: torch.device,
        load: Callable[[Progress], Any],
        test: Callable[[], None],
        on_resting: Callable[[bool], None],
    ) -> None:
        """Keep a model on `device`; nothing is loaded before `load`.

        `name` is the model's in errors. `load` returns the model, `test` is called each time that
        it is loaded again, and `on_resting` when `rest` has freed it, and when it is loaded again.
        """
        self._name, self._device = name, device
        self._load, self._test, self._on_resting = load, test, on_resting
        self._lock = threading.Lock()
        self._loading = threading.RLock()  # taken before the other one
        self._calls, self._closed = 0, False
        self.loaded: Any = None
        """The model; None while it rests, and after `close`."""

    def load(self, progress: Progress) -> None:
        """Load the model for the first time; raise the errors of loading."""
        self.loaded = self._load(progress)

    def close(self) -> None:
        """Unload the model as soon as no call uses it; later calls raise ModelError."""
        with self._lock:
            self._closed = True
            unused = not self._calls
        if unused:
            self._unload()

    def rest(self) -> bool:
        """Free the memory of the model until a call needs it; return whether there was any."""
        with self._loading, self._lock:
            if self._closed or self._calls or self.loaded is None:
                return False
            self._unload()
        self._on_resting(True)
        return True

    @property
    def resting(self) -> bool:
        """Whether the next call has to load the model again."""
        return self.loaded is None and not self._closed

    def wake(self) -> None:
        """Load the model if it rests, before a call needs it; raise the errors of a call."""
        self.call(lambda: None)

    def call(self, run: Callable[[], Result]) -> Result:
        """Run with the model, which is not unloaded before the end."""
        with self._lock:
            if self._closed:
                raise ModelError(f'{self._name} was unloaded: activate the node again')
            self._calls += 1
        try:
            self._wake()
            with torch.inference_mode():
                return translate_errors(run, self._name, self._device)
        finally:
            with self._lock:
                self._calls -= 1
                unused = self._closed and not self._calls
            if unused:
                self._unload()

    def _wake(self) -> None:
        with self._loading:
            if self.loaded is not None:
                return
            self.loaded = self._load(lambda step, share: None)
            try:
                self._test()
            except BaseException:
                self._unload()
                raise
            collect_garbage()
            return_free_memory()
        self._on_resting(False)

    def _unload(self) -> None:
        self.loaded = None
        free_memory(self._device)
        return_free_memory()
