"""Makes the source of audio that `audio.source` names."""

from collections.abc import Callable

from rclpy.node import Node

from ..audio.source import AudioSource
from ..core.settings import Settings


def make_source(
    node: Node,
    settings: Settings,
    on_change: Callable[[str], None],
    warn: Callable[[str], None],
) -> AudioSource:
    """Return a source that is not open yet; each imports its own libraries.

    `on_change` gets what is wrong with the source, or '' when it works again; `warn` gets what is
    odd about a recording.
    """
    if settings.audio.source == 'file':
        from ..audio.file_source import FileSource

        return FileSource(
            settings.audio.file,
            settings.audio.file_realtime,
            settings.microphone.channel,
            warn,
        )
    if settings.audio.source == 'topic':
        from .audio_subscriber import AudioSubscriber

        return AudioSubscriber(node, settings, on_change)
    from ..audio.microphone import Microphone

    return Microphone(settings.microphone, on_change)
