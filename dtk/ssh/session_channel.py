"""Session channels: opened ahead, and given a command without waiting for the reply to the request.

Paramiko's own calls wait for a reply to each of their messages, so that a command takes three round trips; here it
takes one. They also wake up ten times a second while they wait, which costs more than the work when thousands wait.
"""

from __future__ import annotations

from threading import Event
from typing import Any, cast

import paramiko
from paramiko.channel import Channel
from paramiko.common import cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST


class OpeningChannel:
    """A session channel that was requested from the server."""

    def __init__(self, transport: paramiko.Transport) -> None:
        """Send the request.

        Raises:
            paramiko.SSHException, EOFError, OSError: the connection is lost.
        """
        self._transport = transport
        self._answered = Event()
        # What paramiko's open_channel does up to its wait; its stubs have none of it.
        inside: Any = transport
        limits = (transport.default_window_size, transport.default_max_packet_size)
        self._channel: Any
        with inside.lock:
            number = inside._next_channel()
            self._channel = Channel(number)
            inside._channels.put(number, self._channel)
            inside.channel_events[number] = self._answered
            inside.channels_seen[number] = True
            self._channel._set_transport(transport)
            self._channel._set_window(*limits)
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("session")
        for value in (number, *limits):
            message.add_int(value)
        inside._send_user_message(message)

    def opened(self) -> Channel:
        """Wait until the server has opened the channel, and return it.

        Raises:
            paramiko.ChannelException: the server refused.
            EOFError: the connection was lost.
        """
        if self._transport.is_active():
            self._answered.wait()
        if not self._transport.is_active():
            raise EOFError
        if self._channel.active:
            return cast(Channel, self._channel)
        refusal = self._transport.get_exception()
        raise refusal if isinstance(refusal, paramiko.ChannelException) else paramiko.ChannelException(0, "refused")


def request_command(channel: Channel, command: str) -> None:
    """Request that the server runs a command on a channel; if the server refuses, paramiko closes the channel.

    Raises:
        paramiko.SSHException, EOFError, OSError: the connection is lost.
    """
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(command)
    cast(Any, channel.transport)._send_user_message(message)
