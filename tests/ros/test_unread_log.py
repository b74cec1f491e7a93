"""A log that nobody reads, as of a paused terminal, stops nothing."""

from contextlib import suppress
import os
import signal
import subprocess
import threading

from robot import Client, executable, goforward, isolation, MODEL, wait_for
from std_srvs.srv import SetBool


def fill(descriptor: int) -> None:
    """Write until a pipe has no room for another byte."""
    os.set_blocking(descriptor, False)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(descriptor, b'x' * size)
    os.set_blocking(descriptor, True)


def test_it_hears_is_muted_and_ends_although_nobody_reads_the_log(room):
    environment = {**isolation(), **room.environment}
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [executable('speech_recognizer'), '--ros-args', '-p', f"model.id:='{MODEL}'"],
        env={**os.environ, **environment, 'RCUTILS_LOGGING_BUFFERED_STREAM': '0'},
        stdout=writer,
        stderr=writer,
    )
    try:
        with Client(environment) as client:
            client.wait_state('ready')
            fill(writer)
            future = client.start_trigger('record')
            room.say(goforward(), wait=False)
            wait_for(future.done, 20, 'the reply')
            assert future.result().message.capitalize() == 'Go forward 10 meters.'
            muted = client.start_call(SetBool, 'speech/mute', SetBool.Request(data=True))
            wait_for(muted.done, 5, 'the reply to mute')
            assert muted.result().success
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(writer)
        os.close(reader)


def test_what_is_read_is_whole(room):
    """The pipe is opened anew, so nothing that was written before or behind is lost."""
    environment = {**isolation(), **room.environment}
    command = [executable('speech_recognizer'), '--ros-args', '-p', f"model.id:='{MODEL}'"]
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        lines: list[str] = []
        assert process.stdout is not None

        def read(stream) -> None:
            lines.extend(line.decode() for line in stream)

        thread = threading.Thread(target=read, args=(process.stdout,))
        thread.start()
        with Client(environment) as client:
            client.wait_state('ready')
        # It is written behind the state.
        wait_for(
            lambda: any('call speech/record and speak' in each for each in lines), 5, 'a line'
        )
        process.send_signal(signal.SIGINT)
        thread.join(60)
        assert process.wait(30) == 0
    assert any('is ready on' in line for line in lines)
