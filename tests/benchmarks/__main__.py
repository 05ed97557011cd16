"""Compare the speed with its budget: `python -m tests.benchmarks`. Each line is a ratio, or states its unit."""

from __future__ import annotations

import os
import platform
import sys

from tests.benchmarks import bench_calls, bench_cold, bench_local, bench_memory, bench_start

sys.stdout.write(f"{os.cpu_count()} processors, Python {platform.python_version()}, {platform.system()}\n\n")
for program in (bench_start, bench_cold, bench_local, bench_calls, bench_memory):
    program.main()
