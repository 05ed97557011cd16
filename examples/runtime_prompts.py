"""Fetch prompts at run time, and continue during an outage.

The example starts and stops an emulator of the API on this machine.
"""

import tempfile
import time

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.models import LivePrompt


def show(when: str, live: LivePrompt) -> None:
    """Print a prompt and where it came from."""
    how = "fallback" if live.is_fallback else "stale" if live.is_stale else "fresh"
    print(f"{when:28} {how:9} {live.render(name='Ada')}   ({type(live.error).__name__ if live.error else 'no error'})")


def main() -> None:
    """Run with the service, during an outage, and after a restart during the outage."""
    with tempfile.TemporaryDirectory() as folder:
        with Emulator() as emulator:
            key, url = emulator.keys.pro, emulator.url
            client = Enprompta(api_key=key, base_url=url, cache_dir=folder)
            prompt = client.prompts.create(title="Greeting", content="Hello {{name}}")
            show("first call", client.prompts.get_live("greeting"))
            client.prompts.update(prompt.id, content="Good day, {{name}}")
            client.prompts.invalidate("greeting")
            show("after a new version", client.prompts.get_live("greeting"))

        # From here on the service is unavailable.
        client.prompts.get_live("greeting", ttl=0.001)
        time.sleep(0.1)
        show("service away", client.prompts.get_live("greeting", ttl=0.001))
        print(f"{'':28} {client.prompts.live_cache.metrics}")
        client.close()

        with Enprompta(api_key=key, base_url=url, cache_dir=folder) as restarted:
            show("restarted, still away", restarted.prompts.get_live("greeting"))
            show("a prompt never seen", restarted.prompts.get_live("farewell", fallback="Goodbye, {{name}}"))


if __name__ == "__main__":
    main()
