"""One SSH session on a local node: a command or a shell, with pipes or a terminal, like OpenSSH's sshd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from dtk.nodes.local.answers import Answer, Answers, delimited, script_in, takes_script
from dtk.nodes.local.children import Child, Children
from dtk.nodes.local.streams import Streams, set_terminal_size, start_in_terminal, start_with_pipes

_CHUNK = 65536
_CANNOT_START = 126

ServerProcess = asyncssh.SSHServerProcess[bytes]


def session_handler(children: Children, shell: str, answers: Answers) -> Callable[[ServerProcess], Awaitable[None]]:
    """Return asyncssh's process factory.

    Args:
        children: starts the commands.
        shell: the program for sessions without a command.
        answers: answers to commands that do not run.
    """

    async def handle(process: ServerProcess) -> None:
        # An exception from here makes asyncssh drop the whole connection with all its sessions, and a client may close
        # its channel at any moment (BrokenPipeError: Channel not open for sending).
        try:
            if answers.answers and takes_script(process.command):
                first = await process.stdin.read()
                script = script_in(first)
            else:
                first, script = b"", process.command or ""
            answer = answers.to(script) if script else None
            if answer:
                await _give(process, answer, script)
            else:
                await _serve(process, children, shell, first)
        except (OSError, asyncssh.Error):
            pass
        except Exception:
            logging.exception("session failed: %s", process.command)
            process.close()

    return handle


async def _give(process: ServerProcess, answer: Answer, script: str) -> None:
    stdout, stderr = delimited(script, answer)
    process.stdout.write(stdout)
    process.stderr.write(stderr)
    await process.stdout.drain()
    await process.stderr.drain()
    process.exit(answer.exit_code)


async def _serve(process: ServerProcess, children: Children, shell: str, first: bytes = b"") -> None:
    arguments = ["/bin/sh", "-c", process.command] if process.command else [shell]
    try:
        if process.term_type:
            child, streams = await start_in_terminal(children, arguments, process.term_type, process.term_size)
        else:
            child, streams = await start_with_pipes(children, arguments)
    except OSError as error:
        process.stderr.write(f"{error}\n".encode())
        process.exit(_CANNOT_START)
        return
    if first:  # already read to check for a scripted answer
        await _feed(streams.stdin, first)
    await _connect(process, child, streams)


async def _connect(process: ServerProcess, child: Child, streams: Streams) -> None:
    """Copy all streams until the command has ended and closed its output, or the client has disconnected."""
    outputs = [_copy_output(streams.stdout, process.stdout)]
    if streams.stderr is not None:
        outputs.append(_copy_output(streams.stderr, process.stderr))
    # A daemon holds the session only if it keeps the command's stdout open, as with sshd.
    finished = asyncio.gather(child.exit, *outputs)
    feeding = asyncio.ensure_future(_copy_input(process, child, streams))
    gone = asyncio.ensure_future(process.channel.wait_closed())
    ends: set[asyncio.Future[Any]] = {finished, gone}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if finished.done():
            finished.result()
            _send_exit(process, child.exit.result())
    finally:
        # A command continues after its client disconnected; it finds its pipes closed.
        for task in (finished, feeding, gone):
            task.cancel()
        streams.close()


async def _copy_output(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    # The end of a terminal raises OSError; a disconnected client raises either error.
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _copy_input(process: ServerProcess, child: Child, streams: Streams) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            try:
                data = await process.stdin.read(_CHUNK)
            except asyncssh.SignalReceived as request:
                _pass_signal(child, request.signal)
            except asyncssh.TerminalSizeChanged as request:
                set_terminal_size(streams, request.term_size)
            except asyncssh.BreakReceived:
                pass
            else:
                if not data:
                    break
                await _feed(streams.stdin, data)
    if streams.terminal is None:
        streams.stdin.close()


async def _feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    # A command may not read its input; drain it nevertheless, because the client may wait until it is sent.
    with contextlib.suppress(OSError):
        stdin.write(data)
        await stdin.drain()


def _pass_signal(child: Child, name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if number is not None and not child.exit.done():
        os.killpg(child.process.pid, number)


def _send_exit(process: ServerProcess, code: int) -> None:
    if code >= 0:
        process.exit(code)
    else:
        process.exit_with_signal(_signal_name(-code))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
