"""Execute the version that you tested, although a draft is newer, and recognize a fallback.

The example starts and stops an emulator of the API on this machine.
"""

from enprompta import ConfigurationError, Enprompta, VersionMismatchError
from enprompta.emulator import Emulator


def main() -> None:
    """Release a version, save a draft, and try to execute."""
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client:
        prompt = client.prompts.create(title="Welcome mail", content="Welcome, {{name}}!")
        emulator.set_label(prompt.id, "production", 1)
        live = client.prompts.get_live("welcome-mail")
        print("live:", live.render(name="Ada"))
        if live.version is None:
            raise SystemExit("only a fallback has no version")

        done = client.prompts.execute(live.id, variables={"name": "Ada"}, expect_version=live.version)
        print("executed:", done.output)

        client.prompts.update(prompt.id, content="DRAFT for {{name}}")
        try:
            client.prompts.execute(live.id, variables={"name": "Ada"}, expect_version=live.version)
        except VersionMismatchError as error:
            print(f"refused: version {error.actual} is newer than {error.expected}")
        print("executions:", len(client.executions.list(prompt_id=prompt.id).data))

        fallback = client.prompts.get_live("no-such-mail", fallback="Hello, {{name}}")
        print("fallback:", fallback.render(name="Ada"))
        try:
            client.prompts.execute(fallback.id)
        except ConfigurationError as error:
            print("refused:", error)


if __name__ == "__main__":
    main()
