"""Every five minutes: heads of the audit. Every night: what auditors are to look at."""

from celery import shared_task

from mugsearch.auditing import drawing, heads


@shared_task
def send_heads() -> None:
    """One that is due, and whatever waits or failed before."""
    heads.sign_if_due()
    heads.deliver()


@shared_task
def draw() -> None:
    drawing.draw_due()
