"""People, bookings, photos and imports over REST. Same roles, same services, same records as the pages."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import CharFilter, FilterSet, UUIDFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.errors import BadInput
from mugsearch.gallery import manifest, progress, queries, services, views
from mugsearch.gallery.models import Booking, BookingQuerySet, ImportReject, ImportRun, Person, PersonQuerySet, Photo
from mugsearch.gallery.paging import LongPages

RECORDS = [role_permission(Role.RECORDS)]
EXPORT = [role_permission(Role.RECORDS, sensitive=Sensitive.EXPORT)]
SEXES = [(code, code) for code in sorted(set(manifest.SEXES.values()))]


class RecordedPersonSerializer(serializers.ModelSerializer[Person]):
    person_id = serializers.CharField(read_only=True)
    family_name = serializers.CharField(max_length=manifest.LONGEST["family_name"], allow_blank=True, required=False)
    given_names = serializers.CharField(max_length=manifest.LONGEST["family_name"], allow_blank=True, required=False)
    date_of_birth = serializers.DateField(allow_null=True, required=False)
    sex = serializers.ChoiceField(choices=SEXES, allow_blank=True, required=False)
    bookings = serializers.PrimaryKeyRelatedField(many=True, read_only=True)  # type: ignore[var-annotated]

    class Meta:
        model = Person
        fields = ("id", "person_id", "family_name", "given_names", "date_of_birth", "sex", "bookings")
        read_only_fields = ("id",)


class BookingSerializer(serializers.ModelSerializer[Booking]):
    booking_number = serializers.CharField(read_only=True)
    photos = serializers.PrimaryKeyRelatedField(many=True, read_only=True)  # type: ignore[var-annotated]

    class Meta:
        model = Booking
        fields = (
            "id",
            "person",
            "booking_number",
            "booked_on",
            "height_in",
            "weight_lb",
            "charge",
            "disposition",
            "sealed_at",
            "created_at",
            "photos",
        )
        read_only_fields = ("id", "person", "sealed_at", "created_at")


class PhotoSerializer(serializers.ModelSerializer[Photo]):
    """`faces` are largest first; `pick` takes the position in this list, counted from 0."""

    faces = serializers.ListField(child=serializers.DictField(), read_only=True)
    face = serializers.DictField(read_only=True, allow_null=True)
    quality = serializers.DictField(read_only=True)

    class Meta:
        model = Photo
        fields = (
            "id",
            "booking",
            "sha256",
            "format",
            "width",
            "height",
            "pose",
            "state",
            "trouble",
            "refusal",
            "faces",
            "face",
            "quality",
            "created_at",
        )


class ImportSerializer(serializers.ModelSerializer[ImportRun]):
    ignored_columns = serializers.ListField(child=serializers.CharField(), read_only=True)
    rate = serializers.SerializerMethodField(help_text="In words, while it runs.")
    remaining = serializers.SerializerMethodField(help_text="In words, while it runs.")

    class Meta:
        model = ImportRun
        fields = (
            "id",
            "several",
            "state",
            "failure",
            "ignored_columns",
            "rows",
            "rows_done",
            "enrolled",
            "already",
            "waiting",
            "rejected",
            "rate",
            "remaining",
            "created_at",
            "started_at",
            "finished_at",
        )

    def get_rate(self, run: ImportRun) -> str:
        return progress.rate(run)

    def get_remaining(self, run: ImportRun) -> str:
        return progress.remaining(run)


class RejectSerializer(serializers.ModelSerializer[ImportReject]):
    photo = serializers.CharField(read_only=True)
    booking_number = serializers.CharField(read_only=True)
    reason = serializers.CharField(source="explained", read_only=True)

    class Meta:
        model = ImportReject
        fields = ("line", "photo", "booking_number", "reason")


class NewImportSerializer(serializers.Serializer[Any]):
    manifest = serializers.FileField(help_text="CSV; see the columns in the operator's handbook.")
    photos = serializers.ListField(
        child=serializers.FileField(max_length=300),
        help_text="One ZIP, or photo files: the field once for each file.",
    )
    several = serializers.ChoiceField(choices=ImportRun.Several.choices, default=ImportRun.Several.ONLY.value)


class PickSerializer(serializers.Serializer[Any]):
    face = serializers.IntegerField(min_value=0, max_value=32767)


class RefuseSerializer(serializers.Serializer[Any]):
    refusal = serializers.ChoiceField(choices=[choice for choice in Photo.Refusal.choices if choice[0]])


class FindSerializer(serializers.Serializer[Any]):
    search = serializers.CharField(
        required=False, max_length=200, default="", help_text="Words of the name, person id or a booking number."
    )
    born = serializers.DateField(required=False, default=None, help_text="Date of birth.")


class PersonFilter(FilterSet):  # type: ignore[misc]  # it ships no types
    person_id = CharFilter(method="spelled_anyhow", help_text="Capitals and separators don't matter.")

    class Meta:
        model = Person
        fields = ("person_id",)

    def spelled_anyhow(self, people: PersonQuerySet, name: str, value: str) -> PersonQuerySet:
        return people.identified(value)


@extend_schema(parameters=[FindSerializer])
class People(generics.ListAPIView[Person]):
    """The agency's people. The look-up is recorded."""

    permission_classes = RECORDS
    pagination_class = LongPages
    serializer_class = RecordedPersonSerializer
    filterset_class = PersonFilter
    queryset = Person.objects.none()

    def get_queryset(self) -> Any:
        asked = FindSerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        found = queries.find_people(signed_in(self.request), wanted["search"], wanted["born"])
        return found.prefetch_related("bookings")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        answer = super().list(request, *args, **kwargs)
        # What was typed may be a name: only that something was, and who was shown, is recorded.
        shown, filters = [row["id"] for row in answer.data["results"]], {*request.query_params} - {"page"}
        audit.record(
            "people.searched", by=signed_in(request), filters=len(filters), found=answer.data["count"], shown=shown
        )
        return answer


class OnePerson(generics.RetrieveUpdateAPIView[Person]):
    """A person; PATCH corrects what is recorded. The look-up is recorded."""

    permission_classes = RECORDS
    serializer_class = RecordedPersonSerializer
    queryset = Person.objects.none()
    http_method_names = ("get", "patch", "head", "options")

    def get_queryset(self) -> Any:
        return Person.objects.visible_to(signed_in(self.request))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        person = self.get_object()
        audit.record("person.viewed", by=signed_in(request), obj=person)
        return Response(self.get_serializer(person).data)

    def perform_update(self, serializer: Any) -> None:
        person = serializer.instance
        values = {name: getattr(person, name) for name in services.PERSON_FIELDS} | serializer.validated_data
        services.edit_person(by=signed_in(self.request), person=person, **values)


class BookingFilter(FilterSet):  # type: ignore[misc]  # it ships no types
    booking_number = CharFilter(method="spelled_anyhow", help_text="Capitals and separators don't matter.")
    person = UUIDFilter(field_name="person_id")

    class Meta:
        model = Booking
        fields = ("booking_number", "person", "booked_on")

    def spelled_anyhow(self, bookings: BookingQuerySet, name: str, value: str) -> BookingQuerySet:
        return bookings.numbered(value)


class Bookings(Recorded, generics.ListAPIView[Booking]):
    """The agency's bookings. The look-up is recorded."""

    thing = "booking"
    permission_classes = RECORDS
    pagination_class = LongPages
    serializer_class = BookingSerializer
    filterset_class = BookingFilter
    queryset = Booking.objects.none()

    def get_queryset(self) -> Any:
        return Booking.objects.visible_to(signed_in(self.request)).prefetch_related("photos")


class OneBooking(generics.RetrieveUpdateAPIView[Booking]):
    """A booking; PATCH corrects what is recorded. The look-up is recorded."""

    permission_classes = RECORDS
    serializer_class = BookingSerializer
    queryset = Booking.objects.none()
    http_method_names = ("get", "patch", "head", "options")

    def get_queryset(self) -> Any:
        return Booking.objects.visible_to(signed_in(self.request))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        booking = self.get_object()
        audit.record("booking.viewed", by=signed_in(request), obj=booking)
        return Response(self.get_serializer(booking).data)

    def perform_update(self, serializer: Any) -> None:
        booking = serializer.instance
        values = {name: getattr(booking, name) for name in services.BOOKING_FIELDS} | serializer.validated_data
        services.edit_booking(by=signed_in(self.request), booking=booking, **values)


class PhotoFilter(FilterSet):  # type: ignore[misc]  # it ships no types
    booking = UUIDFilter(field_name="booking_id")

    class Meta:
        model = Photo
        fields = ("state", "trouble", "booking")


class Photos(Recorded, generics.ListAPIView[Photo]):
    """The agency's photos; `state=waiting` are those to check, oldest first. The look-up is recorded."""

    thing = "photo"
    permission_classes = RECORDS
    pagination_class = LongPages
    serializer_class = PhotoSerializer
    filterset_class = PhotoFilter
    queryset = Photo.objects.none()

    def get_queryset(self) -> Any:
        return Photo.objects.visible_to(signed_in(self.request))


class OnePhoto(Recorded, generics.RetrieveAPIView[Photo]):
    """A photo and the faces found on it. The look-up is recorded."""

    thing = "photo"
    permission_classes = RECORDS
    serializer_class = PhotoSerializer
    queryset = Photo.objects.none()

    def get_queryset(self) -> Any:
        return Photo.objects.visible_to(signed_in(self.request))


class PhotoImage(APIView):
    permission_classes = RECORDS

    @extend_schema(
        parameters=[
            OpenApiParameter("size", OpenApiTypes.INT, description="Pixels of the longer side: up to 320, or 1600.")
        ],
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The photo, upright. The look is recorded."""
        return views.photo_image_for(signed_in(request), pk, request.query_params.get("size", ""))


class PickFace(APIView):
    permission_classes = RECORDS

    @extend_schema(request=PickSerializer, responses={202: PhotoSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Say which face is the person's. The worker enrols it: `state` becomes `enrolled`."""
        photo = get_object_or_404(Photo.objects.visible_to(signed_in(request)), pk=pk)
        body = PickSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.pick_face(by=signed_in(request), photo=photo, face=body.validated_data["face"])
        return Response(PhotoSerializer(photo).data, status=status.HTTP_202_ACCEPTED)


class RefusePhoto(APIView):
    permission_classes = RECORDS

    @extend_schema(request=RefuseSerializer, responses={200: PhotoSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Leave a photo out of all searches."""
        photo = get_object_or_404(Photo.objects.visible_to(signed_in(request)), pk=pk)
        body = RefuseSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        reason = Photo.Refusal(body.validated_data["refusal"])
        services.refuse_photo(by=signed_in(request), photo=photo, reason=reason)
        return Response(PhotoSerializer(photo).data)


class Imports(Recorded, generics.ListAPIView[ImportRun]):
    """The agency's imports, newest first; POST starts one."""

    thing = "import"
    permission_classes = RECORDS
    serializer_class = ImportSerializer
    parser_classes = (MultiPartParser,)
    filterset_fields = ("state",)
    queryset = ImportRun.objects.none()

    def get_queryset(self) -> Any:
        return ImportRun.objects.visible_to(signed_in(self.request))

    @extend_schema(request=NewImportSerializer, responses={202: ImportSerializer})
    def post(self, request: Request) -> Response:
        body = NewImportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sheet = body.validated_data["manifest"]
        if sheet.size > manifest.MOST_BYTES:
            raise BadInput(f"The manifest is larger than {manifest.MOST_BYTES >> 20} MB; split it into several.")
        run = services.start_import(
            by=signed_in(request),
            several=ImportRun.Several(body.validated_data["several"]),
            manifest_file=sheet.read(),
            photos=body.validated_data["photos"],
        )
        return Response(ImportSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class OneImport(Recorded, generics.RetrieveAPIView[ImportRun]):
    """An import; poll until `state` is `done` or `failed`. Every look is recorded, so once in a while is enough."""

    thing = "import"
    permission_classes = RECORDS
    serializer_class = ImportSerializer
    queryset = ImportRun.objects.none()

    def get_queryset(self) -> Any:
        return ImportRun.objects.visible_to(signed_in(self.request))


class Rejects(generics.ListAPIView[ImportReject]):
    """The rows of an import that could not be taken, by line."""

    permission_classes = EXPORT
    serializer_class = RejectSerializer
    queryset = ImportReject.objects.none()

    def get_queryset(self) -> Any:
        run = get_object_or_404(ImportRun.objects.visible_to(signed_in(self.request)), pk=self.kwargs["pk"])
        audit.record("import.rejects-exported", by=signed_in(self.request), obj=run, rows=run.rejects.count())
        return run.rejects.select_related("held_by")
