from celery import shared_task

from mugsearch.accounts import idle, sittings, tokens


@shared_task
def disable_idle() -> None:
    idle.disable()
    tokens.expired().delete()
    sittings.forget_those_over()
