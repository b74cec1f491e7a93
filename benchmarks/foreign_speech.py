"""An English model is given another language's speech: what is published, and what would tell.

    tools/with_ros python benchmarks/foreign_speech.py
    tools/with_ros python benchmarks/foreign_speech.py --english FOLDER

Speaks sentences in many languages with espeak-ng. Prints how many texts of the English model pass
the hallucination filter, and how many of them a multilingual model finds not to be English. The
price is English speech that it does not take for English: of espeak-ng, and of people with
`--english`, a folder of recordings.
"""

import argparse
from pathlib import Path

from robot import ROOT, spoken
import torch

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.settings import ModelSettings, Settings
from distil_whisper_ros.core.types import Outcome, Utterance
from distil_whisper_ros.speech.hallucination_filter import filtered
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.transcriber import Transcriber

MODELS = ROOT / 'models'
LIMITS = (0.2, 0.5, 0.8)  # of the probability of English, below which a text would be rejected
ENGLISH = (
    'Good morning.', 'Please go forward three meters.', 'Where is the kitchen?', 'Thank you.',
    'I would like to drink a cup of coffee.', 'Stop at the door, please.', 'Turn left.',
    'My name is Peter, and I live in Berlin.', 'The weather is very nice today.', 'Come here.',
)  # fmt: skip
FOREIGN = {
    'de': ('Guten Morgen.', 'Bitte fahr drei Meter geradeaus.', 'Wo ist die Küche?'),
    'fr': ('Bonjour.', 'Avancez de trois mètres, s’il vous plaît.', 'Où est la cuisine ?'),
    'es': ('Buenos días.', 'Por favor, avance tres metros.', '¿Dónde está la cocina?'),
    'it': ('Buongiorno.', 'Per favore, vai avanti di tre metri.', 'Dov’è la cucina?'),
    'pt': ('Bom dia.', 'Por favor, avance três metros.', 'Onde fica a cozinha?'),
    'nl': ('Goedemorgen.', 'Rij alsjeblieft drie meter vooruit.', 'Waar is de keuken?'),
    'pl': ('Dzień dobry.', 'Proszę jechać trzy metry do przodu.', 'Gdzie jest kuchnia?'),
    'ru': ('Доброе утро.', 'Пожалуйста, проезжай три метра.', 'Где находится кухня?'),
    'tr': ('Günaydın.', 'Lütfen üç metre ileri git.', 'Mutfak nerede?'),
    'hi': ('सुप्रभात।', 'कृपया तीन मीटर आगे जाइए।', 'रसोई कहाँ है?'),
    'te': ('శుభోదయం.', 'దయచేసి మూడు మీటర్లు ముందుకు వెళ్ళండి.', 'వంటగది ఎక్కడ ఉంది?'),
    'ja': ('おはようございます。', 'さんメートルすすんでください。', 'だいどころはどこですか。'),
    'cmn-latn-pinyin': ('早上好。', '请向前走三米。', '厨房在哪里？'),
    'th': ('สวัสดีครับ', 'กรุณาเดินไปข้างหน้าสามเมตร', 'ห้องครัวอยู่ที่ไหน'),
}


def utterance(samples) -> Utterance:
    """Return samples with their voice activity."""
    activity, framer = VoiceActivity(), Framer()
    frames = [*framer.push(samples, 0.0), *framer.flush()]
    return Utterance.whole(samples, tuple(activity(frame.samples) for frame in frames))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--english', type=Path, help='a folder of English recordings')
    parser.add_argument('--model', default=str(MODELS / 'tiny.en'))
    parser.add_argument('--multilingual', default=str(MODELS / 'base'))
    options = parser.parse_args()
    model = Transcriber(ModelSettings(id=options.model))
    judge = Transcriber(ModelSettings(id=options.multilingual, warm_up=False))._whisper
    sets = {
        'other languages': [
            spoken(text, voice, 140) for voice, texts in FOREIGN.items() for text in texts
        ],
        'English, espeak-ng': [spoken(text, 'en-us', 140) for text in ENGLISH],
    }
    if options.english:
        files = sorted(path for path in options.english.rglob('*') if path.is_file())
        sets['English, people'] = [
            read_recording(path) for path in files if path.suffix in ('.flac', '.wav')
        ]
    settings = Settings()
    print(f'{"":22}{"clips":>7}{"published":>11}  of these: English less likely than')
    print(f'{"":40}' + ''.join(f'{limit:>8}' for limit in LIMITS))
    for name, clips in sets.items():
        english = []
        for samples in clips:
            said = utterance(samples)
            if filtered(model(said), said, settings).outcome is Outcome.TRANSCRIBED:
                with torch.inference_mode():
                    states = judge.encode(judge.features([samples], FULL_CONTEXT))
                    english.append(judge.language_probabilities(states)[0]['en'])
        found = [sum(value < limit for value in english) for limit in LIMITS]
        print(f'{name:22}{len(clips):7}{len(english):11}' + ''.join(f'{n:8}' for n in found))


if __name__ == '__main__':
    main()
