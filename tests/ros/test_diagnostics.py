"""What /diagnostics counts."""

import numpy as np

from distil_whisper_ros.core.types import (
    Hypothesis,
    Outcome,
    Segment,
    State,
    Transcript,
    Utterance,
)
from distil_whisper_ros.ros.diagnostics import diagnostics, Load


def test_what_came_of_requests_is_counted():
    load = Load()
    utterance = Utterance.whole(np.zeros(16_000, np.float32))
    segment = Segment('go', 0.0, 1.0, -0.1, 0.0, 1.0)
    again = Segment('go', 0.0, 1.0, -0.1, 0.0, 1.0, redone=True)
    searched = Segment('go', 0.0, 1.0, -0.1, 0.0, 1.0, searched=True)
    for outcome, segments in (
        (Outcome.TRANSCRIBED, (segment,)),
        (Outcome.TRANSCRIBED, (searched, again)),
        (Outcome.REJECTED, (again,)),
    ):
        hypothesis = Hypothesis(segments, processing_time=0.25)
        load.count(Transcript(outcome, utterance=utterance, hypothesis=hypothesis), 0.5)
    load.count(Transcript(Outcome.FAILED), 0.0)
    recognizer, _ = diagnostics('node', State.READY, '', 'tiny.en', None, load).status
    values = {pair.key: pair.value for pair in recognizer.values}
    assert values['requests'] == '4'
    assert values['transcribed'] == '2'
    assert values['rejected'] == values['failed'] == '1'
    assert values['audio contexts redone'] == '2'
    assert values['searched by a beam'] == '1'
    assert values['last real-time factor'] == '0.250'
