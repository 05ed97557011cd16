"""Makes the pictures of the command line in the documentation, in a real terminal.

`python docs/tools/screenshots.py` writes them to `docs/assets/`. It needs the packages of the extra `dev`. Those of the
Workbench are made by `workbench_pictures.py`.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from enprompta import Enprompta
from enprompta.emulator import Emulator

ASSETS = Path(__file__).resolve().parents[1] / "assets"
COLUMNS = 100
PROMPT = "$ "

# rich's own form fetches a font from elsewhere; this one takes what the reader's machine has.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
        font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
    }}
    .{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 15px; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""
THEME = TerminalTheme(
    (28, 33, 40),
    (205, 217, 229),
    [(84, 93, 104), (244, 112, 103), (87, 171, 90), (198, 144, 38), (83, 155, 245), (176, 131, 240), (57, 197, 207),
     (144, 157, 171)],
    [(99, 110, 123), (255, 147, 138), (107, 196, 109), (218, 170, 63), (108, 182, 255), (220, 189, 251),
     (86, 212, 221), (205, 217, 229)],
)  # fmt: skip


class Clock:
    """The emulator's clock: starts some days ago, so that an account has a history."""

    days_ago = 0

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return time.time() - 86_400 * self.days_ago


def seed(client: Enprompta, clock: Clock) -> str:
    """Put in what an account of some days would have; give the id of its first prompt."""
    clock.days_ago = 6
    made = [
        client.prompts.create(title=title, content=content, tags=tags, category="support")
        for title, content, tags in (
            ("Welcome mail", "Hello {{name}}, welcome to {{product}}.", ["mail"]),
            ("Support reply", "Answer {{customer}} about {{topic}} in a {{tone}} tone.", ["mail", "draft"]),
            ("Release note", "Write a release note about {{topic}} for {{audience}}.", ["writing"]),
        )
    ]
    for clock.days_ago, executions in ((6, 9), (5, 14), (4, 11), (3, 2), (2, 17), (1, 23), (0, 4)):
        for number in range(executions):
            client.prompts.execute(made[0].id, variables={"name": f"Customer {number}", "product": "Tea"})
    client.prompts.update(made[2].id, content="A release note about {{topic}}, for {{audience}}, in three sentences.")
    return made[0].id


def in_terminal(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command in a pseudo-terminal and return its output, colors included."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    process = subprocess.Popen(  # noqa: S602 (a fixed command, as a reader types it)
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(master, 65_536):
            shown += chunk
    process.wait()
    os.close(master)
    return shown.decode()


def last_state(shown: str) -> str:
    """Keep of what was drawn over itself, such as a bar, what it ended as."""
    lines = shown.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rsplit("\r", 1)[-1] for line in lines)


def terminal_picture(name: str, commands: list[str], folder: Path, emulator: Emulator) -> None:
    """Draw some commands and what they show."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "ENPROMPTA_API_KEY": emulator.keys.team,
        "ENPROMPTA_BASE_URL": emulator.url,
    }
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    for number, command in enumerate(commands):
        console.print(Text(("\n" if number else "") + PROMPT, style="green") + Text(command, style="bold"))
        console.print(Text.from_ansi(last_state(in_terminal(command, folder, environment)).rstrip()))
    # A fixed id, so that the picture changes when what it shows does.
    svg = console.export_svg(
        title=commands[0].split(" pmt_")[0], theme=THEME, code_format=SVG, unique_id=f"terminal-{name}"
    )
    (ASSETS / f"{name}.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
    print(f"{name}.svg")


def command_line(emulator: Emulator, prompt_id: str, folder: Path) -> None:
    """Draw the pictures of the command line."""
    (folder / "customers.csv").write_text("name,product\n" + "".join(f"Customer {n},Tea\n" for n in range(40)))
    run = f"enprompta prompts execute-many {prompt_id} --input customers.csv --output mails.jsonl"
    terminal_picture("cli-doctor", ["enprompta doctor"], folder, emulator)
    terminal_picture("cli-prompts", ["enprompta prompts list", f"enprompta prompts get {prompt_id}"], folder, emulator)
    terminal_picture("cli-usage", ["enprompta usage --days 7"], folder, emulator)
    terminal_picture("cli-execute-many", [f"{run} --max-credits 25", run], folder, emulator)
    in_terminal("enprompta pull prompts", folder, {**os.environ, **settings(emulator)})
    text = folder / "prompts" / "welcome-mail.prompt.md"
    text.write_text(text.read_text().replace("Hello {{name}}", "Good day, {{name}}"))
    terminal_picture("cli-diff", ["enprompta diff prompts"], folder, emulator)


def settings(emulator: Emulator) -> dict[str, str]:
    """Return the variables that point the command line at an emulator."""
    bin_folder = Path(sys.executable).parent
    return {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "ENPROMPTA_API_KEY": emulator.keys.team,
        "ENPROMPTA_BASE_URL": emulator.url,
    }


def main() -> None:
    """Make all of them."""
    with (
        Emulator(clock=(clock := Clock())) as emulator,
        Enprompta(limiter=None, api_key=emulator.keys.team, base_url=emulator.url) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        prompt_id = seed(client, clock)
        command_line(emulator, prompt_id, Path(folder))


if __name__ == "__main__":
    main()
