"""Handwritten digits of 8x8 pixels in 17 grey levels: the data that is always there.

1,797 images by 43 people, each pixel the count of ink in a 4x4 block, 0 to 16. The splits are
fixed and keep the proportions of the classes: 1,197 training, 300 validation, 300 test, by a
hash of the index in scikit-learn's order.

Sources: E. Alpaydin, C. Kaynak (1998), doi:10.24432/C50P49; scikit-learn `load_digits`.
"""

import numpy as np
import torch

from danlu.contracts import Classes, DataDescription, DataKind
from danlu.data.notices import cautions
from danlu.data.source import Examples, Source
from danlu.data.splits import split

DIGITS = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 8, 8), levels=17, low=-1.0, high=1.0, condition=Classes(10)
)


def digits() -> Source:
    """The digits that scikit-learn carries, in fixed splits."""
    from sklearn.datasets import load_digits  # a second of imports, only for this data

    pixels, labels = load_digits(return_X_y=True)
    values = torch.from_numpy(pixels.astype(np.uint8)).view(-1, 1, 8, 8)
    condition = torch.from_numpy(labels.astype(np.int64))
    training, validation, test = (
        Examples(values[part], condition[part], DIGITS)
        for part in split(range(len(values)), labels, validation=300, test=300)
    )
    return Source(
        name="digits",
        description=DIGITS,
        class_names=tuple(map(str, range(10))),
        training=training,
        validation=validation,
        test=test,
        notices=tuple(cautions(DIGITS, len(training), len(test))),
    )
