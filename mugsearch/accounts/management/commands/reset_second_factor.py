from mugsearch.accounts import factors, services
from mugsearch.accounts.management.for_somebody import ForSomebody
from mugsearch.accounts.models import User


class Command(ForSomebody):
    help = "Take away somebody's second factor, so that they set up a new one at the next sign-in with their password."
    done = "{} sets up a new second factor at the next sign-in."

    def do(self, user: User) -> None:
        factors.reset(by=services.console(), user=user)
