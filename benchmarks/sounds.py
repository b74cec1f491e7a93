"""Sounds to measure with: 51 clips in which nobody speaks, and recordings of people."""

import numpy as np
from robot import RATE, raw, RECORDINGS

from distil_whisper_ros.audio.noise import colored, with_noise
from distil_whisper_ros.audio.recordings import read_recording

__all__ = ['colored', 'no_speech', 'speech', 'with_noise']

DURATION = 5  # s


def speech() -> dict[str, tuple[np.ndarray, str]]:
    """Return people's recordings by name: the samples and the sentence."""
    found = {
        'goforward': (raw(RECORDINGS / 'goforward.raw'), 'go forward ten meters'),
        'something': (raw(RECORDINGS / 'something.raw'), 'go somewhere and do something'),
    }
    for folder, listing in (('librivox', 'transcription'), ('cards', 'cards.transcription')):
        for line in (RECORDINGS / folder / listing).read_text().splitlines():
            text, _, name = line.rpartition('(')
            name = name.rstrip(')')
            samples = read_recording(RECORDINGS / folder / f'{name}.wav')
            found[f'{folder}/{name[-4:]}'] = (
                samples,
                text.replace('<s>', '').replace('</s>', '').strip(),
            )
    return found


def no_speech() -> dict[str, np.ndarray]:
    """Return 51 clips of 5 s in which nobody speaks, by name."""
    random = np.random.default_rng(1)
    time = np.arange(DURATION * RATE) / RATE
    clips = {'silence': np.zeros_like(time)}
    for decibels in (-80, -70, -60, -50, -40, -30, -20, -10):
        gain = 10 ** (decibels / 20)
        clips[f'white noise {decibels} dB'] = random.normal(0, gain, len(time))
        clips[f'pink noise {decibels} dB'] = colored(random, len(time), 0.5) * gain
        clips[f'brown noise {decibels} dB'] = colored(random, len(time), 1.0) * gain
    for hertz in (50, 60, 100, 120):
        for decibels in (-40, -20):
            hum = np.sum([np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8)], axis=0)
            clips[f'hum {hertz} Hz {decibels} dB'] = hum * 10 ** (decibels / 20)
    for hertz in (200, 440, 1000, 2000, 4000):
        for decibels in (-30, -10):
            clips[f'tone {hertz} Hz {decibels} dB'] = np.sin(2 * np.pi * hertz * time) * 10 ** (
                decibels / 20
            )
    clicks = np.zeros_like(time)
    clicks[:: RATE // 2] = 0.9
    clips['clicks'] = clicks
    clips['chirp'] = 0.3 * np.sin(2 * np.pi * (100 * time + 300 * time**2))
    clips['beeps'] = 0.3 * np.sin(2 * np.pi * 880 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    clips['motor'] = 0.2 * np.sign(np.sin(2 * np.pi * 90 * time)) * (1 + 0.3 * np.sin(12 * time))
    clips['fan'] = colored(random, len(time), 0.7) * 0.1 * (1 + 0.2 * np.sin(40 * time))
    clips['knocks'] = random.normal(0, 0.5, len(time)) * np.exp(-30 * (time % 0.7))
    clips['siren'] = 0.2 * np.sin(2 * np.pi * 700 * time + 60 * np.sin(2 * np.pi * 0.5 * time))
    clips['steps'] = colored(random, len(time), 1.0) * 0.5 * np.exp(-15 * (time % 0.55))
    return {name: clip.clip(-1, 1).astype(np.float32) for name, clip in clips.items()}
