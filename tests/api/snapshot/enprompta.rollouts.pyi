__all__ = ['Exposure', 'Split']
class Exposure:
    def __init__(self, slug: str, label: str, version: int | str | None, unit: str, salt: str, is_fallback: bool) -> None: ...
    is_fallback: bool
    label: str
    salt: str
    slug: str
    unit: str
    unit_hash: str
    version: int | str | None
from enprompta import Split as Split
