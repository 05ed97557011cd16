"""Roll out a new version to 10, then 20 percent of the users; each user keeps their version.

The example starts and stops an emulator of the API on this machine.
"""

from collections import Counter

from enprompta import Enprompta, Split
from enprompta.emulator import Emulator
from enprompta.hooks import Hooks
from enprompta.rollouts import Exposure

USERS = [f"user-{number}" for number in range(1_000)]


class Exposures(Hooks):
    """Counts which version users got."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def on_exposure(self, record: Exposure, /) -> None:
        """Count one prompt that was served."""
        self.counts[f"{record.label} (version {record.version})"] += 1


def main() -> None:
    """Serve a prompt to all users, with one request for each label."""
    exposures = Exposures()
    with (
        Emulator() as emulator,
        Enprompta(api_key=emulator.keys.pro, base_url=emulator.url, hooks=[exposures]) as client,
    ):
        prompt = client.prompts.create(title="Greeting", content="Hello {{name}}")
        client.prompts.update(prompt.id, content="Good day, {{name}}!")
        emulator.set_label(prompt.id, "production", 1)
        emulator.set_label(prompt.id, "canary", 2)

        labels: dict[int, list[str | None]] = {}
        for percent in (10, 20):
            weights = {"production": 100 - percent, "canary": percent}
            served = [client.prompts.get_live("greeting", label=Split(weights, unit=user)) for user in USERS]
            labels[percent] = [live.label for live in served]
            print(f"{percent} %:", dict(Counter(labels[percent])))

        moved = Counter(f"{a} to {b}" for a, b in zip(labels[10], labels[20], strict=True) if a != b)
        print("moved:", dict(moved))
        print("exposures:", dict(exposures.counts))
        print("requests:", client.prompts.live_cache.metrics.misses)


if __name__ == "__main__":
    main()
