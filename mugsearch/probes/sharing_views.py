"""Who is on a case: the forms on its page, and a supervisor's page that assigns one."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.errors import BadInput, WrongState
from mugsearch.probes import sharing
from mugsearch.probes.forms import AssignForm, HandOverForm, ShareForm
from mugsearch.probes.models import Case


@needs(Role.INVESTIGATOR)
@require_POST
def share_case(request: HttpRequest, case_id: UUID) -> HttpResponse:
    """Put another investigator on the case, by user name."""
    case = of_mine(request, case_id)
    form = ShareForm(request.POST)
    if not form.is_valid():
        raise BadInput("Type the user name of the investigator.")
    colleague = sharing.share(by=signed_in(request), case=case, **form.cleaned_data)
    messages.success(request, f"{colleague.full_name} now sees this case.")
    return redirect("case", case.pk)


@needs(Role.INVESTIGATOR)
@require_POST
def end_sharing(request: HttpRequest, case_id: UUID, user_id: UUID) -> HttpResponse:
    """Take somebody off the case, or leave it."""
    case = of_mine(request, case_id)
    member = get_object_or_404(case.members, pk=user_id)
    sharing.end_sharing(by=signed_in(request), case=case, member=member)
    if member == signed_in(request):
        messages.success(request, "You have left the case.")
        return redirect("cases")
    messages.success(request, f"{member.full_name} no longer sees this case.")
    return redirect("case", case.pk)


@needs(Role.INVESTIGATOR)
@require_POST
def hand_over(request: HttpRequest, case_id: UUID) -> HttpResponse:
    """Make somebody else responsible, and leave the case."""
    case = of_mine(request, case_id)
    form = HandOverForm(request.POST)
    if not form.is_valid():
        raise BadInput("Type the user name of the investigator, and say why.")
    successor = sharing.hand_over(by=signed_in(request), case=case, **form.cleaned_data)
    messages.success(request, f"{successor.full_name} is responsible for the case now. You are no longer on it.")
    return redirect("cases")


@needs(Role.SUPERVISOR)
@require_http_methods(["GET", "POST"])
def assign_case(request: HttpRequest) -> HttpResponse:
    """Make an investigator responsible for a case, which shows nothing of it."""
    form, status = AssignForm(request.POST or None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                sharing.assign(by=signed_in(request), **form.cleaned_data)
            except (BadInput, WrongState) as error:
                form.add_error(None, error.message)
                status = error.status
            else:
                messages.success(request, "The case is assigned.")
                return redirect("assign_case")
    return render(request, "probes/assign_case.html", {"form": form}, status=status)


def of_mine(request: HttpRequest, case_id: UUID) -> Case:
    user: User = signed_in(request)
    found: Case = get_object_or_404(Case.objects.visible_to(user), pk=case_id)
    return found
