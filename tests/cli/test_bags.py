"""The tool transcribe with bags: real messages in an MCAP file, as ros2 bag writes them."""

from array import array
import gc
from pathlib import Path
import subprocess
import sys

from bag_recorder import Bag
from distil_whisper_msgs.msg import Audio, Transcript
import numpy as np
import pytest
from robot import executable, goforward, MODEL, RATE
import soundfile

from distil_whisper_ros.cli import bags
from distil_whisper_ros.cli.bags import bag_as_wav, recorded_texts
from distil_whisper_ros.core.errors import FileError


def write_bag(path: Path, samples: np.ndarray, text: str, lost: int = -1) -> Path:
    """Write audio in messages of 0.1 s, without message `lost`, and a transcript."""
    with path.open('wb') as file:
        bag = Bag(file)
        bag.add_topic('/audio', Audio)
        bag.add_topic('/speech/transcript', Transcript)
        length = RATE // 10
        for index, begin in enumerate(range(0, len(samples), length)):
            data = (samples[begin : begin + length] * 32767).astype('<i2')
            message = Audio(sample_rate=RATE, channels=1, first_sample=1000 + begin)
            message.data = array('h', data.tobytes())
            if index != lost:
                bag.add('/audio', message, index * 10**8)
        if text:
            bag.add('/speech/transcript', Transcript(text=text, accepted=True), 10**10)
        bag.add('/speech/transcript', Transcript(text='Thank you.', accepted=False), 10**10)
        bag.finish()
    return path


def transcribe(path: Path) -> subprocess.CompletedProcess:
    command = [str(executable('transcribe')), '--model', str(MODEL), '--quiet', str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_a_bag_is_transcribed_and_compared(tmp_path):
    path = write_bag(tmp_path / 'talk.mcap', goforward(), 'go forward 10 meters')
    done = transcribe(path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower() == 'go forward 10 meters.\n'
    assert done.stderr == f'transcribe: {path}: the recorded transcripts have the same words\n'


def test_what_is_in_a_bag(tmp_path):
    said = goforward()
    path = write_bag(tmp_path / 'talk.mcap', said, 'Go.', lost=3)
    assert recorded_texts(path) == ['Go.']
    with bag_as_wav(path) as file:
        samples, rate = soundfile.read(file, dtype='float32')
    assert rate == RATE
    assert len(samples) == len(said)
    assert not samples[4800:6400].any()
    samples[4800:6400] = said[4800:6400]
    assert abs(samples - said).max() < 1e-3


def test_a_bad_message_is_one_sentence(tmp_path, monkeypatch):
    good, bad = ({'data': [1] * 1600, 'sample_rate': rate} for rate in (RATE, 5))
    bag = [('/a', good), ('/b', bad), ('/a', bad)]

    def messages(*_):
        for topic, values in bag:
            yield topic, Audio(
                channels=1, data=array('h', values['data']), sample_rate=values['sample_rate']
            )

    unraisable = []
    monkeypatch.setattr(bags, 'messages', messages)
    monkeypatch.setattr(sys, 'unraisablehook', unraisable.append)
    with pytest.raises(FileError, match='sample_rate is 5 Hz') as caught, bag_as_wav(tmp_path):
        pass
    del caught
    gc.collect()
    assert not unraisable
    bag.pop()
    with bag_as_wav(tmp_path) as file:  # of several topics the first one counts
        assert soundfile.info(file).frames == 1600


def test_bags_that_cannot_be_read(tmp_path, monkeypatch):
    damaged = tmp_path / 'damaged.mcap'
    damaged.write_bytes(b'no bag at all' * 100)
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(write_bag(tmp_path / 'whole.mcap', goforward(), '').read_bytes()[:3000])
    silent = write_bag(tmp_path / 'silent.mcap', np.empty(0), 'Go.')
    for path, reason in (
        (damaged, 'is not a bag that can be read'),
        (cut, 'is not a bag that can be read'),
        (silent, 'has no audio: record the topic of a microphone'),
        (tmp_path / 'nowhere.mcap', 'cannot be read: No such file'),
    ):
        with pytest.raises(FileError, match=reason), bag_as_wav(path):
            pass
    monkeypatch.setitem(sys.modules, 'mcap_ros2.decoder', None)
    with pytest.raises(FileError, match='needs two packages: pip install mcap mcap-ros2-support'):
        recorded_texts(silent)
