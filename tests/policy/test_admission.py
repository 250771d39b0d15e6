"""Places for requests in progress."""

import pytest

from gateway.errors import RateLimited
from gateway.policy.admission import Admission


def test_places_are_limited_and_given_back() -> None:
    admission = Admission(1)
    with admission, pytest.raises(RateLimited) as caught, admission:
        pass

    assert caught.value.retry_after == 1
    assert admission.in_progress == 0
