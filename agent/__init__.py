"""The telephone agent and its command line."""

import os

# numpy's OpenBLAS shares even small products among all cores, and its threads then spin for 60 ms in case
# there are more: just when the words that were heard are to be answered. It reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
