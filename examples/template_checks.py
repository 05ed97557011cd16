"""Find template syntax that stays in the text: in files before they are pushed, and when a prompt is created.

The example starts and stops an emulator of the API on this machine.
"""

import tempfile
import warnings
from pathlib import Path

from enprompta import Enprompta, TemplateWarning
from enprompta.emulator import Emulator
from enprompta.templating import problems

TEXTS = {
    "mail.txt": "Dear {{name}},\n{{#if offer}}we have {{offer}}{{/if}}\n",
    "note.txt": 'Answer as {"text": …}: {{topic}\n',
    "good.txt": "Summarize {{topic}} in {{max-words}} words.\n",
}


def main() -> None:
    """Check files, then create a prompt."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in TEXTS.items():
            path = Path(folder, name)
            path.write_text(text, encoding="utf-8")
            found = problems(path.read_text(encoding="utf-8"))
            print(f"{name}: {len(found)} problems")
            for problem in found:
                print(f"  {problem.line}:{problem.column} {problem.message}")

    with Emulator() as emulator, Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TemplateWarning)
            prompt = client.prompts.create(title="Mail", content=TEXTS["mail.txt"], variables=[{"name": "nmae"}])
        print(f"created version {prompt.version}: {caught[0].message}")


if __name__ == "__main__":
    main()
