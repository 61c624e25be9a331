"""Which refusals of a certificate mean that none of our CAs signed it."""

import ssl

import pytest

from shared.services.reasons import is_unknown_ca


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (18, True),  # self-signed
        (19, True),  # a CA in its chain that we do not trust
        (20, True),  # its CA is neither in the chain nor trusted
        (21, True),  # likewise
        (10, False),  # expired
        (22, False),  # the chain is too long
        (23, False),  # revoked
        (62, False),  # of another host
    ],
)
def test_only_a_chain_without_an_end_that_we_trust_is_of_an_unknown_ca(
    code: int, expected: bool
) -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_code = code

    assert is_unknown_ca(refused) is expected


@pytest.mark.parametrize("error", [None, ssl.SSLError(1, "failed"), OSError(18, "cross-device")])
def test_other_errors_say_nothing_of_a_ca(error: BaseException | None) -> None:
    assert not is_unknown_ca(error)
