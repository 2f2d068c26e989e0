"""A class in browsers: `txexplain serve` on the lecturer's machine, a link for everybody else.

    browser ── WebSocket ── web.py, one process, which holds no model ── house.py ── zygote.py, the warmed parent
                                          │                                              │ fork
                                          └── a pseudo-terminal for each guest ──── guest.py, the same app as in a terminal

The web's process passes bytes between a page and a terminal. The warmed parent holds imports and weights, and each guest is a fork of
it, which has a terminal, a channel for what isn't a picture (where the reader is, a file to download), and nothing else: no network,
no files but the package's own, no child processes.
"""
