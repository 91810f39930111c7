from celery import shared_task

from mugsearch.limiting import services


@shared_task
def forget() -> None:
    services.forget()
