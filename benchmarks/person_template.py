"""Whether one template per person, searched beside the photographs, finds people whom their photographs don't.

    ./run bench person_template

Leave-one-out over LFW with the product's import step (decoder, default encoder, face nearest the centre, quality).
Mated searches: each photograph of a person with three or more is searched among all the others; the person's
template is made without it, so of two or more photographs: of one alone it would be that photograph. Non-mated
searches: each photograph is searched in the gallery without its whole person. A person's score is that of their best
photograph, or of their template where that is higher.

Intervals are Wilson's at 95 %; the paired test is McNemar's, exact, two-sided.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor

import gallery
import numpy as np
from numpy.typing import NDArray

LEAST = 3  # photographs of a person
LIST = 20  # candidates on a list, as the policy has it by default
FPIR = 0.01

Floats = NDArray[np.float64]


class Gallery:
    """The vectors (n, d), sorted by person: `start` is each person's first row, `person` (n,) each row's person."""

    def __init__(self, vectors: Floats, names: list[str], qualities: Floats) -> None:
        order = np.argsort(names, kind="stable")
        self.vectors, self.qualities = vectors[order], qualities[order]
        _, self.start, self.person, self.counts = np.unique(
            np.array(names)[order], return_index=True, return_inverse=True, return_counts=True
        )
        self.similar = self.vectors @ self.vectors.T
        np.fill_diagonal(self.similar, -1)  # no photograph is searched among itself

    def scores(self, weights: Floats | None) -> Floats:
        """(n, people): every photograph against every person, its own without it. Templates only with `weights`."""
        best = np.maximum.reduceat(self.similar, self.start, axis=1)
        if weights is None:
            return best
        weighted = self.vectors * weights[:, None]
        sums = np.add.reduceat(weighted, self.start, axis=0)
        scores = np.maximum(best, self.vectors @ unit(sums).T)
        # The searched photograph's own person: a template without it, where two or more photographs are left.
        rows = np.arange(len(self.vectors))
        without = np.einsum("nd,nd->n", self.vectors, unit(sums[self.person] - weighted))
        several = self.counts[self.person] >= LEAST
        own = np.where(several, np.maximum(best[rows, self.person], without), best[rows, self.person])
        scores[rows, self.person] = own
        return scores


def unit(vectors: Floats) -> Floats:
    """(n, d) scaled to length 1; a row of zeros (a person with no other photograph) stays one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def encoded() -> Gallery:
    folder = gallery.photographs("lfw")
    import django

    django.setup()
    from mugsearch.gallery import encoding, manifest, preparing, sources
    from mugsearch.gallery.models import ImportRun

    rows = [row for row in manifest.read((folder / "manifest.csv").read_bytes()) if isinstance(row, manifest.Row)]
    source, model = sources.Folder(folder), encoding.loaded(os.environ.get("MUGSEARCH_ENCODER", "opencv"))
    vectors, names, qualities = [], [], []
    with ThreadPoolExecutor(2) as threads:
        done = threads.map(
            lambda row: preparing.prepare(row, source, frozenset(), model, ImportRun.Several.CENTRE), rows
        )
        for number, outcome in enumerate(done, start=1):
            if number % 500 == 0:
                print(f"  {number} of {len(rows)} photographs", flush=True)
            if (photo := outcome.photo) is None or photo.vector is None or photo.quality is None:
                print(f"  {outcome.row.photo}: {outcome.reason or 'no face'}")
                continue
            vectors.append(photo.vector)
            names.append(outcome.row.person_id)
            qualities.append(photo.quality["score"])
    print(f"encoder {model.name}: {len(vectors)} of {len(rows)} photographs, {len(set(names))} people")
    return Gallery(np.array(vectors, np.float64), names, np.array(qualities, np.float64))


def main() -> None:
    faces = encoded()
    mated = np.flatnonzero(faces.counts[faces.person] >= LEAST)
    people = len(np.unique(faces.person[mated]))
    print(f"mated searches: {len(mated)} photographs of the {people} people with {LEAST} or more")
    print(f"non-mated searches: {len(faces.vectors)}")
    low, middle, high = np.percentile(faces.qualities, [5, 50, 95])
    print(f"quality scores: median {middle:.0f}, 5th and 95th percentile {low:.0f} and {high:.0f}")
    # A quality of 0 is still a photograph of the person: it weighs little, not nothing.
    ways = {
        "photographs alone": None,
        "and their mean": np.ones(len(faces.vectors)),
        "and their mean by quality": np.maximum(faces.qualities, 1.0),
    }
    before: dict[str, NDArray[np.bool_]] = {}
    for name, weights in ways.items():
        hits, threshold = measured(faces, mated, weights)
        print(f"\n{name} (threshold for FPIR {FPIR:.0%}: {threshold:.4f})")
        for what, hit in hits.items():
            rate, least, most = wilson(int(hit.sum()), len(hit))
            line = f"  {what:<16} {hit.sum():>4} of {len(hit)}  {rate:7.2%}  ({least:.2%} to {most:.2%})"
            if weights is None:
                before[what] = hit
            else:
                found, lost = hit & ~before[what], before[what] & ~hit
                of = len(np.unique(faces.person[mated][found]))
                line += f"  {found.sum()} found (of {of} people), {lost.sum()} lost"
                line += f", p = {mcnemar(int(found.sum()), int(lost.sum())):.2g}"
            print(line)


def measured(
    faces: Gallery, mated: NDArray[np.intp], weights: Floats | None
) -> tuple[dict[str, NDArray[np.bool_]], float]:
    """Hit or miss of each mated search: at rank 1, among LIST, and among LIST at the threshold for FPIR."""
    scores = faces.scores(weights)
    rows = np.arange(len(scores))
    own = scores[rows, faces.person].copy()
    scores[rows, faces.person] = -1  # what is left is a search in the gallery without the person
    others = np.sort(scores.max(axis=1))
    # The lowest threshold at which no more than the share of non-mated searches returns anybody.
    threshold = float(np.nextafter(others[-1 - int(FPIR * len(others))], 2))
    rank = 1 + (scores[mated] >= own[mated, None]).sum(axis=1)
    return {
        "rank 1": rank == 1,
        f"rank {LIST}": rank <= LIST,
        f"1 - FNIR, {FPIR:.0%}": (rank <= LIST) & (own[mated] >= threshold),
    }, threshold


def wilson(hits: int, tries: int) -> tuple[float, float, float]:
    """(rate, lower, upper)."""
    z, rate = 1.959964, hits / tries
    middle = rate + z * z / (2 * tries)
    reach = z * math.sqrt(rate * (1 - rate) / tries + z * z / (4 * tries * tries))
    return rate, (middle - reach) / (1 + z * z / tries), (middle + reach) / (1 + z * z / tries)


def mcnemar(one: int, other: int) -> float:
    """The chance of a split at least as uneven, were either way as likely."""
    tries = one + other
    tail = sum(math.comb(tries, k) for k in range(min(one, other) + 1)) / 2**tries
    return min(1.0, 2 * tail)


if __name__ == "__main__":
    main()
