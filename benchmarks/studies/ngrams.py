"""An n-gram model of characters with interpolated Kneser-Ney smoothing: the floor for text models.

Kneser & Ney 1995, "Improved backing-off for m-gram language modeling", in the interpolated form of
Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 3.
After a context h of k - 1 characters, h' without its first one, the next character c has

    p_k(c|h) = max(count(h c) - D, 0) / count(h .) + D followers(h) / count(h .) p_{k-1}(c|h')

where followers(h) is how many different characters came after h. What D takes from every count goes
to the shorter context. At the top, k = n, count(h c) is how often h c stood in the text. Below, it
is how many different characters came before h c: "Francisco" is frequent, but only after "San", so
without the San it is no likely word. p_0 is 1 / V. Where h was never seen, p_k is p_{k-1}.

D is n_1 / (n_1 + 2 n_2) of each k, with n_1 and n_2 the numbers of counts that are 1 and 2.
"""

from dataclasses import dataclass

import numpy as np

UNSEEN = -1


@dataclass
class Order:
    """All different strings of k characters in a text.

    A string is the number of its first k - 1 characters among the strings of that length, times V,
    plus its last character: so a long string is one number, and its context is that number by V.
    """

    strings: np.ndarray  # (S,), sorted
    seen: np.ndarray  # (S,), how often each stood in the text
    before: np.ndarray  # (S,), how many different characters stood before it

    def find(self, strings: np.ndarray) -> np.ndarray:
        """Finds the places of strings among those of the text, UNSEEN where they are not there."""
        places = np.searchsorted(self.strings, strings).clip(max=len(self.strings) - 1)
        return np.where(self.strings[places] == strings, places, UNSEEN)


class KneserNey:
    """The strings of up to `longest` characters in codes (N,) of an alphabet of V characters."""

    def __init__(self, codes: np.ndarray, V: int, longest: int) -> None:
        self.V = V
        self.orders: list[Order] = []
        codes = np.asarray(codes, dtype=np.int64)
        here = np.zeros(len(codes), dtype=np.int64)  # the string that ends at each character
        for k in range(1, min(longest, len(codes)) + 1):
            shorter = here  # those of k - 1 characters
            context = np.concatenate([shorter[:1], shorter[:-1]])
            strings, first, places, seen = np.unique(
                (context * V + codes)[k - 1 :],
                return_index=True, return_inverse=True, return_counts=True,
            )  # fmt: skip
            here = np.full(len(codes), UNSEEN)
            here[k - 1 :] = places
            if self.orders:  # each string of k is one more string before its last k - 1 characters
                ends = shorter[first + k - 1]
                self.orders[-1].before = np.bincount(ends, minlength=len(self.orders[-1].strings))
            self.orders.append(Order(strings, seen, seen))

    def probabilities(self, codes: np.ndarray, n: int, known: np.ndarray) -> np.ndarray:
        """Computes the probability (T,) of each of codes (T,) after those before it.

        It looks back over n - 1 characters, and over `known` (T,) at most: so many characters
        before each are part of its block.
        """
        codes = np.asarray(codes, dtype=np.int64)
        p = np.full(len(codes), 1 / self.V)
        here = np.zeros(len(codes), dtype=np.int64)
        for k, order in enumerate(self.orders[:n], start=1):
            context = np.concatenate([[0 if k == 1 else UNSEEN], here[:-1]])
            reached = (context != UNSEEN) & (known >= k - 1)
            here = np.where(context != UNSEEN, order.find(context * self.V + codes), UNSEEN)
            counts = order.seen if k == min(n, len(self.orders)) else order.before
            D = discount(counts)
            contexts = order.strings // self.V
            totals = np.bincount(contexts, weights=counts)
            followers = np.bincount(contexts, weights=counts > 0)
            reached &= context < len(totals)  # a context at the text's end was followed by nothing
            at = np.where(reached, context, 0)
            reached &= totals[at] > 0
            count = np.where(here != UNSEEN, counts[here], 0)
            total = np.where(reached, totals[at], 1)
            longer = (np.maximum(count - D, 0) + D * followers[at] * p) / total
            p = np.where(reached, longer, p)
        return p


def discount(counts: np.ndarray) -> float:
    """Returns D, what is taken from every count; a half where no count is 1."""
    n_1, n_2 = np.sum(counts == 1), np.sum(counts == 2)
    return float(n_1 / (n_1 + 2 * n_2)) if n_1 else 0.5


def unigrams(training: np.ndarray, codes: np.ndarray, V: int) -> np.ndarray:
    """Computes the share (T,) that each of codes (T,) has of a text, with one more of each."""
    counts = np.bincount(training, minlength=V) + 1
    return (counts / counts.sum())[codes]


def stream_nats(probabilities: np.ndarray, V: int) -> float:
    """Computes nats per character as score_stream does: the first character is one of V."""
    return float(-(np.log(probabilities[1:]).sum() - np.log(V)) / len(probabilities))


def blocks_nats(probabilities: np.ndarray) -> float:
    """Computes nats per character as score_blocks does: the first character is not predicted."""
    return float(-np.log(probabilities[1:]).mean())


def known_in_blocks(length: int, block: int = 256) -> np.ndarray:
    """Counts the characters that cold blocks know before each of `length`: 0, then 1 .. block."""
    known = (np.arange(length) - 1) % block + 1
    known[0] = 0
    return known
