"""The word embeddings that a training set needs, trained in place of all. Torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from transformers import DistilBertModel

from pipelines.targets import Encoded


class SeenPieces:
    """The word embeddings of the pieces that a training set holds, trained in place of all.

    The others get no gradient, yet each would cost its share of every optimiser step: of 30,522
    pieces a set of 3,000 sentences holds some 6,000 (docs/performance.md).
    """

    def __init__(self, encoder: DistilBertModel, train: Sequence[Encoded], pad_id: int) -> None:
        self._embeddings = encoder.embeddings
        self._all: nn.Embedding = encoder.embeddings.word_embeddings
        seen = np.unique(np.concatenate([np.asarray([pad_id]), *(row for e in train for row in e.inputs.rows)]))
        self._seen = torch.from_numpy(seen).long()
        self._numbers = torch.zeros(len(self._all.weight), dtype=torch.long)
        self._numbers[self._seen] = torch.arange(len(seen))
        self._few = nn.Embedding(len(seen), self._all.embedding_dim, padding_idx=int(self._numbers[pad_id]))
        self._few.weight.data.copy_(self._all.weight.data[self._seen])
        self._few.requires_grad_(self._all.weight.requires_grad)
        self._embeddings.word_embeddings = self._few

    def numbered(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids as numbers among the seen pieces."""
        return self._numbers[ids]

    @contextmanager
    def all_pieces(self) -> Iterator[None]:
        """The encoder with all its pieces, for texts that were not trained on."""
        self.restore()
        try:
            yield
        finally:
            self._embeddings.word_embeddings = self._few

    def restore(self) -> None:
        """Puts all pieces back, the trained ones as they are now."""
        self._all.to(self._few.weight.device)
        self._all.weight.data[self._seen] = self._few.weight.data
        self._embeddings.word_embeddings = self._all
