"""Word error rates, and the confidence interval of their difference."""

from collections.abc import Sequence
import re

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

RESAMPLED = 2000  # times, by the bootstrap

normal = EnglishTextNormalizer()


def mistakes(
    references: Sequence[str], found: Sequence[str], digits: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of errors and of words of each text, normalized as OpenAI does.

    With `digits` each digit is a word: "three one" and "31" are equal, and have two.
    """
    wrong, words = [], []
    for reference, hypothesis in zip(references, found):
        compared = jiwer.process_words(plain(reference, digits), plain(hypothesis, digits))
        wrong.append(compared.substitutions + compared.deletions + compared.insertions)
        words.append(compared.substitutions + compared.deletions + compared.hits)
    return np.array(wrong), np.array(words)


def plain(text: str, digits: bool) -> str:
    """Return a text as it is compared: see `mistakes`."""
    text = normal(text)
    return re.sub(r'(?<=\d)(?=\d)', ' ', text) if digits else text


def difference(wrong: np.ndarray, others: np.ndarray, words: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two word error rates.

    The paired bootstrap of Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR
    performance evaluation" (ICASSP 2004): utterances are drawn, each with both texts.
    """
    drawn = np.random.default_rng(0).integers(len(words), size=(RESAMPLED, len(words)))
    differences = (wrong - others)[drawn].sum(1) / words[drawn].sum(1)
    return float(np.quantile(differences, 0.025)), float(np.quantile(differences, 0.975))
