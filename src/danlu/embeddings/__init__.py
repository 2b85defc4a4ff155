"""Word vectors, by counting and by prediction, and what is made of them."""

from collections.abc import Mapping

from danlu.contracts import Method
from danlu.embeddings.bags import Bags
from danlu.embeddings.cbow import Cbow
from danlu.embeddings.cbow_softmax import CbowSoftmax
from danlu.embeddings.counting import Counting
from danlu.embeddings.fasttext import FastText
from danlu.embeddings.linear_autoencoder import LinearAutoencoder
from danlu.embeddings.method import WordMethod
from danlu.embeddings.saving import load_vectors, save_vectors
from danlu.embeddings.sentences import SENTENCE_WEIGHTS, sentence_vectors
from danlu.embeddings.skip_gram import SkipGram
from danlu.embeddings.subwords import Subwords, SubwordVectors
from danlu.embeddings.svd_ppmi import SvdPpmi
from danlu.embeddings.text import Sentences, Shard, file_shards
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary, count_words

_LEVY = "Levy & Goldberg 2014"
_KEXUE = "kexue.fm/archives/4233"

WORD_VECTORS: Mapping[str, Method] = {
    "svd-ppmi": Method(SvdPpmi, (_LEVY, "doi:10.1162/tacl_a_00134", _KEXUE), SvdPpmi),
    "skip-gram": Method(SkipGram, ("arXiv:1310.4546",), SkipGram),
    "cbow": Method(Cbow, ("arXiv:1301.3781", "arXiv:1310.4546"), Cbow),
    "cbow-softmax": Method(CbowSoftmax, ("arXiv:1301.3781", _KEXUE), CbowSoftmax),
    "linear-autoencoder": Method(
        LinearAutoencoder, ("doi:10.1016/0893-6080(89)90014-2", _KEXUE), LinearAutoencoder
    ),
    "fasttext": Method(FastText, ("arXiv:1607.04606",), FastText),
}

__all__ = [
    "SENTENCE_WEIGHTS",
    "WORD_VECTORS",
    "Bags",
    "Cbow",
    "CbowSoftmax",
    "Counting",
    "FastText",
    "LinearAutoencoder",
    "Sentences",
    "Shard",
    "SkipGram",
    "SubwordVectors",
    "Subwords",
    "SvdPpmi",
    "Vocabulary",
    "WordMethod",
    "WordVectors",
    "count_words",
    "file_shards",
    "load_vectors",
    "save_vectors",
    "sentence_vectors",
]
