from mugsearch.accounts import services, signing
from mugsearch.accounts.management.for_somebody import ForSomebody
from mugsearch.accounts.models import User


class Command(ForSomebody):
    help = "Unlock an account that too many failures have locked, where no administrator can do it on the page Users."
    done = "{} can sign in again. The record says that the console did it."

    def do(self, user: User) -> None:
        signing.unlock(by=services.console(), user=user)
