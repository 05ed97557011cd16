"""`UNSET` is a singleton, also after pickling and copying."""

from __future__ import annotations

import copy
import pickle

from enprompta import UNSET, Unset


def test_it_is_false_and_names_itself() -> None:
    """It is falsy, and its repr is its name."""
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert isinstance(UNSET, Unset)


def test_copies_and_pickles_are_the_same_object() -> None:
    """Code compares by identity, so there is only one."""
    assert copy.copy(UNSET) is UNSET
    assert copy.deepcopy({"a": [UNSET]})["a"][0] is UNSET
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(UNSET, protocol)) is UNSET
