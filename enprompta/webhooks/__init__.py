"""Receiving webhooks: verify, type, deduplicate. Needs no client and no network."""

from enprompta.webhooks.ecma_json import ecma_json
from enprompta.webhooks.signature import SIGNATURE_HEADER, matching_secret, sign, verify_signature

__all__ = ["SIGNATURE_HEADER", "ecma_json", "matching_secret", "sign", "verify_signature"]
