"""Publish a person's words in audio_common_msgs of one kind; print the text of the node.

Run by test_audio_topic.py, in a process that has that package.
"""

from array import array
import sys
import threading
import time

import numpy as np
from robot import goforward, RATE, robot, wait_for


def messages(kind: str, samples: np.ndarray, stamp):
    """Return a message of 32 ms in each of the package's ways, by name."""
    from audio_common_msgs import msg

    pcm = (samples * 32767).astype('<i2').tobytes()
    if kind == 'drivers':
        plain = msg.AudioData(data=array('B', pcm))
        stamped = msg.AudioDataStamped(audio=plain)
        stamped.header.stamp = stamp
        return {'AudioData': plain, 'AudioDataStamped': stamped}
    info = msg.AudioInfo(format=8, channels=1, rate=RATE, chunk=512)
    audio = msg.Audio(info=info)
    audio.audio_data.int16_data = array('h', pcm)
    floating = msg.Audio(info=msg.AudioInfo(format=1, channels=1, rate=RATE, chunk=512))
    floating.audio_data.float32_data = array('f', samples.astype(np.float32).tobytes())
    stamped = msg.AudioStamped(audio=floating)
    stamped.header.stamp = stamp
    return {'AudioStamped': stamped, 'Audio': audio}


def hear(kind: str, name: str) -> str:
    """Return the text of the node for `name` messages."""
    with robot(audio__source='topic', audio__topic='sound') as (client, _):
        client.wait_state('lost', 'ready')
        clock = client.node.get_clock()
        example = messages(kind, np.zeros(512), clock.now().to_msg())[name]
        publisher = client.node.create_publisher(type(example), 'sound', 10)
        wait_for(publisher.get_subscription_count, 10, 'the subscription')
        spoken = np.concatenate((np.zeros(RATE // 2), goforward()))
        speaking, done = threading.Event(), threading.Event()

        def talk() -> None:
            position, due = 0, time.monotonic()
            while not done.is_set():
                piece = np.zeros(512)
                if speaking.is_set() and position < len(spoken):
                    piece[: len(spoken[position : position + 512])] = spoken[
                        position : position + 512
                    ]
                    position += 512
                publisher.publish(messages(kind, piece, clock.now().to_msg())[name])
                due += 512 / RATE
                time.sleep(max(0.0, due - time.monotonic()))

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            client.wait_state('ready')
            future = client.start_trigger('record')
            client.wait_state('waiting')
            speaking.set()
            wait_for(future.done, 30, 'the reply')
            return future.result().message
        finally:
            done.set()
            thread.join()


def main() -> None:
    """Try each of the package's messages."""
    kind = sys.argv[1]
    names = {'drivers': ('AudioData', 'AudioDataStamped'), 'mgonzs13': ('Audio', 'AudioStamped')}
    heard = {name: hear(kind, name) for name in names[kind]}
    print(heard)
    (text,) = set(heard.values())
    print(text)


if __name__ == '__main__':
    main()
