"""Execute a prompt for each row of a CSV file, interrupt the run, and resume it without paying twice.

With ENPROMPTA_API_KEY set, this uses the live API; otherwise it starts an emulator on this machine.
"""

import csv
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from enprompta import Enprompta
from enprompta.batch import Budget, read_rows

CUSTOMERS = """customer,topic,since
Ada,a late parcel,2019
Bob,a wrong size,2021
Cy,an invoice,2022
Dee,a refund,2024
Eve,a new address,2025
"""


def reply_to_all(client: Enprompta, folder: Path) -> None:
    """Execute the whole file in two runs, the first with too small a budget."""
    source, target, checkpoint = folder / "customers.csv", folder / "replies.csv", folder / "run.db"
    source.write_text(CUSTOMERS)
    prompt = client.prompts.create(title="Support reply", content="Answer {{customer}} about {{topic}}.")
    try:
        rows = read_rows(source, prompt=prompt)  # every row is validated before anything is sent
        for budget in (Budget(credits=2), None):
            with target.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["customer", "reply", "cost", "error"])
                run = client.prompts.execute_many(
                    prompt.id, rows, variables=rows.variables, checkpoint=checkpoint, budget=budget, ordered=True
                )
                sent = restored = 0
                for result in run:
                    cost = result.execution.cost if result.execution else None
                    writer.writerow([result.row["customer"], result.output, cost, result.error])
                    sent += not result.restored
                    restored += result.restored
            print(f"{sent} rows executed, {restored} taken from the checkpoint, of {len(rows)}")
        print(target.read_text())
    finally:
        client.prompts.delete(prompt.id)


def main() -> None:
    """Run the example in a temporary folder."""
    with ExitStack() as stack:
        if os.environ.get("ENPROMPTA_API_KEY"):
            client = stack.enter_context(Enprompta())
        else:
            from enprompta.emulator import Emulator  # noqa: PLC0415 (needed only without a key)

            emulator = stack.enter_context(Emulator())
            client = stack.enter_context(Enprompta(api_key=emulator.keys.pro, base_url=emulator.url))
        reply_to_all(client, Path(stack.enter_context(tempfile.TemporaryDirectory())))


if __name__ == "__main__":
    main()
