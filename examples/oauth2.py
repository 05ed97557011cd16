"""Authenticate a service with OAuth2 client credentials and the minimum of scopes.

The example starts and stops an emulator of the API on this machine.
"""

from concurrent.futures import ThreadPoolExecutor

from enprompta import AuthenticationError, Enprompta, PermissionDeniedError
from enprompta.emulator import Emulator


def main() -> None:
    """Read with a token, get an error for a missing scope, and continue after the token has expired."""
    with Emulator() as emulator:
        reader = emulator.add_client("team", scopes=["prompts:read"])
        # In production, set ENPROMPTA_CLIENT_ID, ENPROMPTA_CLIENT_SECRET and ENPROMPTA_SCOPES instead.
        with Enprompta(
            client_id=reader.client_id,
            client_secret=reader.client_secret,
            scopes=["prompts:read"],
            base_url=emulator.url,
        ) as client:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: client.prompts.list(limit=1), range(8)))
            print("8 threads, token requests:", emulator.token_requests)

            try:
                client.prompts.create(title="Tea", content="Tea")
            except PermissionDeniedError as error:
                print("refused:", error.message)

            emulator.expire_tokens()
            print("after the token's end:", client.prompts.list().pagination.total_count, "prompts")
            print("token requests:", emulator.token_requests)

        with Enprompta(client_id=reader.client_id, client_secret="guessed", base_url=emulator.url) as stranger:  # noqa: S106
            try:
                stranger.prompts.list()
            except AuthenticationError as error:
                print("refused:", error.message)


if __name__ == "__main__":
    main()
