#!/usr/bin/python3
"""Completion in real shells: a line is typed with a tab after it, and what the shell makes of it is read back.

Usage: complete.py PROGRAM SHELL; PROGRAM is microvmc or microvm-test; exit status 77 when there is no such shell.
"""

import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time

program, shell = os.path.abspath(sys.argv[1]), sys.argv[2]
program_name = os.path.basename(program)
if shutil.which(shell) is None:
    print(f"skipped: {shell} is not installed")
    sys.exit(77)

PROJECT = """
[vm.web]
count = 2
[vm.database]
mem = 256
"""

# Typed, and what stands in the line after the tab (all of it is unambiguous).
CASES = {"microvmc": [
    ("microvmc hyp", "microvmc hypervisors"),
    ("microvmc plan --detail", "microvmc plan --detailed-exitcode"),
    ("microvmc stop --lock", "microvmc stop --lock-timeout"),
    ("microvmc completion fi", "microvmc completion fish"),
    ("microvmc init --template kern", "microvmc init --template kernel-dev"),
    ("microvmc init -t mat", "microvmc init -t matrix"),
    ("microvmc stop data", "microvmc stop database"),
    ("microvmc logs we", "microvmc logs web-"),
    ("microvmc check sub/oth", "microvmc check sub/other.toml"),
    ("microvmc plan -f sub/oth", "microvmc plan -f sub/other.toml"),
    ("microvmc status sub/other.toml qu", "microvmc status sub/other.toml queue"),
    ("microvmc status --file=sub/other.toml qu", "microvmc status --file=sub/other.toml queue"),
    ("microvmc run -- not", "microvmc run -- notes.txt"),
], "microvm-test": [
    ("microvm-test --hyp", "microvm-test --hypervisor"),
    ("microvm-test plan-is", "microvm-test plan-is-true"),
    ("microvm-test boot memory-and", "microvm-test boot memory-and-processors"),
    ("microvm-test sub/oth", "microvm-test sub/other.toml"),
    ("microvm-test -f sub/oth", "microvm-test -f sub/other.toml"),
    ("microvm-test --fail-fast --spec sub/oth", "microvm-test --fail-fast --spec sub/other.toml"),
    ("microvm-test --list --junit-xml not", "microvm-test --list --junit-xml notes.txt"),
    ("microvm-test comp", "microvm-test completion"),
    ("microvm-test completion fi", "microvm-test completion fish"),
    ("microvm-test schema --rep", "microvm-test schema --report"),
    ("microvm-test -- not", "microvm-test -- notes.txt"),
]}[program_name]  # fmt: skip


def in_terminal(directory, environment, setup):
    """A shell in a pseudo-terminal; gives a function from what is typed to what it answers."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        flags = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
        os.execvpe(shell, [shell, *flags], environment)

    def read_until(wanted, seconds):
        text, end = "", time.monotonic() + seconds
        while time.monotonic() < end and wanted not in text:
            if select.select([terminal], [], [], 0.2)[0]:
                text += os.read(terminal, 65536).decode(errors="replace").replace("\a", "")
        return text

    os.write(terminal, (setup + "; echo rea''dy\n").encode())
    answer = read_until("ready\r\n", 60)
    assert "ready\r\n" in answer, answer

    def complete(typed, wanted):
        os.write(terminal, typed.encode() + b"\t")
        answer = read_until(wanted, 20)
        os.write(terminal, b"\x15")  # the line is dropped
        return answer

    return pid, terminal, complete


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(directory + "/bin")
        os.symlink(program, f"{directory}/bin/{program_name}")
        os.mkdir(directory + "/sub")
        for name, text in (("microvm.toml", PROJECT), ("sub/other.toml", "[vm.queue]\n"), ("notes.txt", ""), ("sub/others.txt", "")):
            with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        environment = {
            "PATH": directory + "/bin:" + os.environ["PATH"], "HOME": directory, "TERM": "dumb", "PS1": "$ ",
            "LC_ALL": "C.UTF-8", "MICROVMC_LIBEXEC": os.path.dirname(program), "COLUMNS": "200",
        }  # fmt: skip
        script = f"{directory}/completion"
        with open(script, "w", encoding="utf-8") as file:
            subprocess.run([program, "completion", shell], check=True, stdout=file)

        if shell == "fish":
            for typed, wanted in CASES:
                ran = subprocess.run(
                    ["fish", "--no-config", "-c", f"source {script}; complete -C '{typed}'"],
                    cwd=directory, env=environment, capture_output=True, text=True, check=False,
                )  # fmt: skip
                offered = [line.split("\t")[0] for line in ran.stdout.splitlines()]
                token = wanted.rsplit(" ", 1)[1]
                if not offered or not offered[0].startswith(token) or ran.stderr:
                    print(f"FAIL: {typed!r} offers {offered} {ran.stderr}")
                    failures += 1
        else:
            setup = f"PS1='$ '; source {script}"
            if shell == "zsh":
                setup = f"PS1='$ '; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; source {script}"
            pid, terminal, complete = in_terminal(directory, environment, setup)
            for typed, wanted in CASES:
                rest = wanted[len(typed) :]
                answer = complete(typed, wanted)
                if wanted not in answer:
                    print(f"FAIL: {typed!r} should go on with {rest!r}: {answer!r}")
                    failures += 1
            os.close(terminal)  # it hangs up
            os.waitpid(pid, 0)
    print(f"{shell}: {len(CASES)} lines, {failures} failures")
    return 1 if failures else 0


sys.exit(main())
