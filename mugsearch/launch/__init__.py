"""How mugsearch runs: the embedded services, the secrets, and the parent of all processes.

Nothing in here imports Django or another room: it starts them, as separate processes, and tells them by
environment variables where things are. What the environment already says is never overruled, so real servers
replace the embedded ones one at a time.
"""


class CannotStart(Exception):
    """What is in the way, in one sentence a tired person can act on."""
